// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Everything of sqs/exec: executors, parallel loops, matrix products.

#include <sqs/exec/concept.hpp>
#include <sqs/exec/cpu.hpp>
#include <sqs/exec/cuda.hpp>
#include <sqs/exec/emulated_gpu.hpp>
#include <sqs/exec/emulator.hpp>
#include <sqs/exec/gemm.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/exec/team.hpp>
