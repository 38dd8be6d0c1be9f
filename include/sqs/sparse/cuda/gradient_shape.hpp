// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A check the ways back of device operators share.

#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse::detail {

/// Errors      precondition_error unless dy has this shape.
template <class T>
void require_device_gradient(const char* op, const tensor<T, 2, device>& dy, idx rows, idx channels) {
  expects(dy.extent(0) == rows && dy.extent(1) == channels, "sqs::sparse::", op, ": the gradient of y is [",
          dy.extent(0), ", ", dy.extent(1), "], y is [", rows, ", ", channels, "]; give a gradient of y's shape");
}

} // namespace sqs::sparse::detail
