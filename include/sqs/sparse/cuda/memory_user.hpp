// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Who asks for memory: what an op on a device says before it takes any.

#include <sqs/exec/concept.hpp>

namespace sqs::sparse::detail {

/// While it lives, missing memory is reported in the name of `op`, a string literal.
template <device_executor E> pool::user memory_for(E& e, const char* op) {
  return pool::user(e.memory(), op, "give fewer sites or channels at a time");
}

} // namespace sqs::sparse::detail
