// SPDX-License-Identifier: Apache-2.0
#include "readers.hpp"

SQS_FUZZ_TARGET(can_bus)
