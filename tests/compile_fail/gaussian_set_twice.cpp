// SPDX-License-Identifier: Apache-2.0
// expected-error: sqs::gaussian_set: an attribute is listed twice; list each once
#include <sqs/gaussian/gaussian_set.hpp>

using namespace sqs;
#ifdef SQS_GOOD
using set = gaussian_set<attr::mean, attr::scale>;
#else
using set = gaussian_set<attr::mean, attr::scale, attr::scale>;
#endif
constexpr int dim = set::dim;
