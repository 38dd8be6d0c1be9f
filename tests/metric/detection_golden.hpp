// SPDX-License-Identifier: Apache-2.0
#pragma once
// What tests of the detection score share: results of the devkit, and the numbers that its boxes are drawn from.

#include "../support/check.hpp"

#include <sqs/core/file.hpp>
#include <sqs/metric/detection.hpp>
#include <sqs/tensor/json.hpp>

#include <iomanip>

namespace sqs::test {

using namespace sqs::metric;

/// A file of JSON.
inline json_value golden_of(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}
inline double number(const json_value& v) { return v.as<double>() == nullptr ? std::nan("") : *v.as<double>(); }
/// Equal in every digit, or both NaN.
inline void expect_same(double a, double b, const std::string& what) {
  EXPECT_TRUE(a == b || (std::isnan(a) && std::isnan(b))) << what << ": " << concat(std::setprecision(17), a, " ", b);
}
inline void expect_metrics(const detection_metrics& m, const json_value& want) {
  expect_same(m.nd_score, number(*want.find("nd_score")), "nd_score");
  expect_same(m.mean_ap, number(*want.find("mean_ap")), "mean_ap");
  const char* thresholds[] = {"0.5", "1.0", "2.0", "4.0"};
  for (std::size_t c = 0; c < 10; ++c) {
    const std::string name(detection_class_names[c]);
    expect_same(m.class_ap[c], number(*want.find("mean_dist_aps")->find(name)), name);
    for (std::size_t d = 0; d < 4; ++d) {
      expect_same(m.ap[c][d], number(*want.find("label_aps")->find(name)->find(thresholds[d])), name + thresholds[d]);
    }
    for (std::size_t e = 0; e < 5; ++e) {
      const std::string error(detection_error_names[e]);
      expect_same(m.errors[c][e], number(*want.find("label_tp_errors")->find(name)->find(error)), name + " " + error);
    }
  }
  for (std::size_t e = 0; e < 5; ++e) {
    const std::string error(detection_error_names[e]);
    expect_same(m.mean_errors[e], number(*want.find("tp_errors")->find(error)), error);
    expect_same(m.scores[e], number(*want.find("tp_scores")->find(error)), error);
  }
}

/// Numbers in [0, 1): a 64-bit mix of a counter, as tools/golden_metrics_detection.py draws them.
struct counter_draw {
  std::uint64_t count = 0;
  double operator()() {
    std::uint64_t x = ++count * 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return static_cast<double>(x >> 11) * 0x1p-53;
  }
  std::int8_t below(int n) { return static_cast<std::int8_t>((*this)() * n); }
};
} // namespace sqs::test
