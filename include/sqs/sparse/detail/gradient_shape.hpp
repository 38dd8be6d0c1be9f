// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a way back demands of the gradient it is given. A graph always gives the right one; a call by hand may not.

#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse::detail {

/// Errors      precondition_error unless dy has `rows` rows and (unless that is -1: not known) `channels` channels.
template <class T> void require_gradient(const char* op, const tensor<T, 2>& dy, idx rows, idx channels = -1) {
  expects(dy.extent(0) == rows && (channels < 0 || dy.extent(1) == channels), "sqs::sparse::", op,
          ": the gradient of y is [", dy.extent(0), ", ", dy.extent(1), "], y has ", rows, " rows",
          channels < 0 ? "" : concat(" of ", channels, " channels"), "; give a gradient of y's shape");
}

} // namespace sqs::sparse::detail
