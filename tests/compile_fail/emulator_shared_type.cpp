// SPDX-License-Identifier: Apache-2.0
// expected-error: shared memory holds trivially copyable values only
#include <sqs/exec/emulator.hpp>

#include <string>

#ifdef SQS_GOOD
using value = int;
#else
using value = std::string;
#endif
auto use(sqs::emulator::emulated_team<>& t) { return sqs::shared_array<struct tag, value, 4>(t); }
