// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/core: errors, small algebra, reflection, randomness, profiling, files.

#include <sqs/core/bfloat16.hpp>
#include <sqs/core/bytes.hpp>
#include <sqs/core/config.hpp>
#include <sqs/core/error.hpp>
#include <sqs/core/file.hpp>
#include <sqs/core/math.hpp>
#include <sqs/core/profile.hpp>
#include <sqs/core/random.hpp>
#include <sqs/core/reflect.hpp>
#include <sqs/core/reflect_hana.hpp>
#include <sqs/core/simd.hpp>
#include <sqs/core/simd_group.hpp>
#include <sqs/core/simd_shuffle.hpp>
