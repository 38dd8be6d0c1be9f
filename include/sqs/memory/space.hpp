// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Memory spaces as types: a tensor of one space does not convert to another; `copy` moves the data.

namespace sqs {

/// Ordinary memory of the processor.
struct host {};
/// Memory of a CUDA device.
struct device {};
/// Page-locked memory of the processor, for fast transfers to a device.
struct pinned {};

} // namespace sqs
