// SPDX-License-Identifier: Apache-2.0
// Background  Everything in sqs runs on an executor: a value that owns threads and memory. Nothing is global.
// New here    cpu, tensors as counted handles, parallel_for, reduce.
// Builds on   nothing.
// Run         tensors_and_executors
// Expect      the same sum for every thread count, bit for bit, and a pool that asks the system once.
#include <sqs/exec/parallel.hpp>
#include <sqs/tensor/tensor.hpp>

#include <cmath>
#include <cstdio>

int main() {
  for (const int threads : {1, 2, 4}) {
    sqs::cpu exec{.threads = threads};
    auto x = sqs::empty<float, 2>(exec, {1000, 300}); // from the executor's pool, not set
    sqs::parallel_for(exec, x.extent(0), 16, [&](sqs::idx begin, sqs::idx end) {
      for (sqs::idx i = begin; i < end; ++i) {
        for (sqs::idx j = 0; j < x.extent(1); ++j) { x(i, j) = std::sin(static_cast<float>(i * 300 + j)); }
      }
    });
    const auto rows = x.rows(0, 10); // shares the elements; the memory goes back with the last handle
    const float sum = sqs::reduce(
        exec, x.size(), 4096, 0.f,
        [&](sqs::idx begin, sqs::idx end) {
          float s = 0;
          for (sqs::idx i = begin; i < end; ++i) { s += x.data()[i]; }
          return s;
        },
        [](float a, float b) { return a + b; });
    std::printf(
        "threads %d  sum %.9g  first row of the view %g %g  pool: %zu bytes live, asked the system %lld time(s)\n",
        threads, static_cast<double>(sum), static_cast<double>(rows(0, 0)), static_cast<double>(rows(0, 1)),
        exec.memory().statistics().live, static_cast<long long>(exec.memory().statistics().takes));
  }
}
