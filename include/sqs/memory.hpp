// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/memory: memory spaces, the pool, tape storage.

#include <sqs/memory/monotonic.hpp>
#include <sqs/memory/pool.hpp>
#include <sqs/memory/space.hpp>
