// SPDX-License-Identifier: Apache-2.0
// expected-error: sqs::gaussian_set: every Gaussian needs attr::mean; add it to the attribute list
#include <sqs/gaussian/gaussian_set.hpp>

using namespace sqs;
#ifdef SQS_GOOD
using set = gaussian_set<attr::mean, attr::scale>;
#else
using set = gaussian_set<attr::scale>;
#endif
constexpr int dim = set::dim;
