// SPDX-License-Identifier: Apache-2.0
#pragma once
// Declared apart from its definition: the command-line library and the model are each seconds of compile time.

struct options;

/// Trains, evaluates, writes the report. Returns the exit status.
int run(const options& o);

/// Calls of malloc and its kin by this process so far; -1 where they cannot be counted.
long long allocations_so_far();
