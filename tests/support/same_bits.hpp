// SPDX-License-Identifier: Apache-2.0
#pragma once
// Equal to the last bit, where == would call NaN unequal and -0 equal to 0.

#include <cstring>

namespace sqs::test {

/// Of two tensors, vectors or spans of one element type. Empty ones have no memory to compare.
template <class A> bool same_bits(const A& a, const A& b) {
  if constexpr (requires { a.shape(); }) {
    if (a.shape() != b.shape()) { return false; }
  }
  const auto bytes = [](const A& x) { return static_cast<std::size_t>(x.size()) * sizeof(*x.data()); };
  return bytes(a) == bytes(b) && (bytes(a) == 0 || std::memcmp(a.data(), b.data(), bytes(a)) == 0);
}

} // namespace sqs::test
