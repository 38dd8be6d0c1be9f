// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The version of the library: semantic versioning.

#define SQS_VERSION_MAJOR 0
#define SQS_VERSION_MINOR 1
#define SQS_VERSION_PATCH 0
