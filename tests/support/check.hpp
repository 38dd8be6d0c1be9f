// SPDX-License-Identifier: Apache-2.0
#pragma once
// What every test of an op needs: random tensors, the message of a failure, a gradient bound that prints where it broke.

#include <sqs/autodiff/check_gradient.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sqs::test {

/// Standard normal numbers, a function of `seed` alone.
template <int R> tensor<double, R> random(extents<R> shape, std::uint64_t seed, double scale = 1) {
  auto t = make_tensor<double, R>(shape);
  const auto s = random_stream::of(seed);
  for (idx i = 0; i < t.size(); ++i) { t.data()[i] = scale * s.normal(i); }
  return t;
}
template <int R> tensor<float, R> random_float(extents<R> shape, std::uint64_t seed, double scale = 1) {
  return persistent_copy<float>(random<R>(shape, seed, scale));
}

/// The message of the library error `f` raises, or "no error".
template <class F> std::string message_of(F&& f) {
  try {
    f();
  } catch (const error& e) { return e.what(); }
  return "no error";
}

} // namespace sqs::test

/// The worst relative error is at most `bound`, and the check was not of zeros only.
#define EXPECT_GRADIENT(report, bound)                                                                                 \
  do {                                                                                                                 \
    const auto sqs_report = (report);                                                                                  \
    EXPECT_LE(sqs_report.worst, bound) << sqs_report.where << ": analytic " << sqs_report.analytic << ", numeric "     \
                                       << sqs_report.numeric;                                                          \
    EXPECT_GT(sqs_report.nonzero, sqs_report.checked / 8) << "of " << sqs_report.checked;                              \
  } while (false)
