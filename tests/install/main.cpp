// SPDX-License-Identifier: Apache-2.0
// A consumer's program: sums squares on two threads and moves a point.
#include <sqs/exec/parallel.hpp>
#include <sqs/geometry/se3.hpp>

#include <cstdio>

int main() {
  sqs::cpu exec{.threads = 2};
  const auto squares = [](sqs::idx begin, sqs::idx end) {
    double sum = 0;
    for (sqs::idx i = begin; i < end; ++i) { sum += static_cast<double>(i * i); }
    return sum;
  };
  const double sum = sqs::reduce(exec, 1000, 64, 0.0, squares, [](double a, double b) { return a + b; });
  const auto p = sqs::yaw_rotation(0.0) * sqs::vec3<double>{1, 2, 3};
  std::printf("%.0f %.0f\n", sum, p.z);
  return sum == 332833500.0 && p.z == 3 ? 0 : 1;
}
