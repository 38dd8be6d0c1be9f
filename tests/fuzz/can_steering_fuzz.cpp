// SPDX-License-Identifier: Apache-2.0
#include "prediction_readers.hpp"

SQS_FUZZ_TARGET(can_steering)
