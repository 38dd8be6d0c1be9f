// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a data set is.

#include <sqs/sensor/sample.hpp>

#include <concepts>

namespace sqs {

/// A list of samples. `sample(i)` is const and may be called from several threads at once; the same i gives the same
/// sample.
template <class D>
concept dataset = requires(const D& d, idx i) {
  { d.size() } -> std::same_as<idx>;
  { d.sample(i) } -> std::same_as<sample>;
};

} // namespace sqs
