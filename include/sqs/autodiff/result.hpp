// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the forward pass of an op returns.

#include <utility>

namespace sqs {

/// The value of an op (a tensor, or a `std::tuple` of tensors and other things) and what its backward pass needs.
///
/// An op is a small copyable struct with
///   `forward(exec, inputs...) const` -> `result{value, saved}` and
///   `backward(exec, saved, d_value...) const` -> one gradient per input, in input order (`std::tuple` if several);
///   trailing inputs without a gradient are left out.
template <class Value, class Saved> struct result {
  Value value;
  Saved saved;
};
template <class Value, class Saved> result(Value, Saved) -> result<Value, Saved>;

} // namespace sqs
