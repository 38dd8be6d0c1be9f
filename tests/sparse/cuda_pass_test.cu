// SPDX-License-Identifier: Apache-2.0
// A training step on a device: captured in a graph and replayed with other inputs; two streams at once.
#pragma nv_diag_suppress 186 // loops over the leading axes of a line, of which there are none
#include "cuda_pass_cases.hpp"
#include "support/device.cuh"

#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs::test;
using sparse_pass_device = device_test;

/// As many points in more and more voxels.
pass_inputs<float> some_inputs(std::uint64_t i) { return inputs_of_pass<float>(250, 3.0 + static_cast<double>(i), i); }

TEST_F(sparse_pass_device, computes_what_the_host_does) {
  for (const auto way : {pass_plan::plain, pass_plan::sorted, pass_plan::parts, pass_plan::bricks}) {
    expect_pass_of_host(exec, some_inputs(4), {way});
  }
}

/// Captured once, replayed with other inputs: the bits of a direct run with them.
template <class Run> void expect_replays(sqs::cuda& exec, sqs::cuda& other, Run&& run) {
  auto in = on_device(exec, some_inputs(0));
  {
    const auto first = run(exec, in), second = run(exec, in); // warms the pool, with more than a capture needs
  }
  auto captured = decltype(run(exec, in)){};
  const captured_graph graph(exec, [&] { captured = run(exec, in); });
  for (const std::uint64_t i : {1u, 4u, 0u, 4u}) {
    const auto wanted = results_on_host(other, run(other, on_device(other, some_inputs(i))));
    overwrite(exec, in, some_inputs(i));
    spoil(exec, captured);
    graph.replay(exec);
    EXPECT_TRUE(same_bits_of_all(results_on_host(exec, captured), wanted)) << i;
  }
}

/// With a second stream.
struct two_stream_device : device_test {
  void SetUp() override {
    device_test::SetUp();
    if (IsSkipped()) { return; }
    sqs::check_cuda(cudaStreamCreateWithFlags(&other.stream, cudaStreamNonBlocking), "two_stream_device");
    open(other);
  }
  void TearDown() override {
    if (other.stream != nullptr) { (void)cudaStreamDestroy(other.stream); }
    device_test::TearDown();
  }
  sqs::cuda other{};
};

TEST_F(two_stream_device, a_step_replays_as_a_graph_with_other_inputs) {
  for (const auto& c : pass_cases) {
    expect_replays(exec, other, [&](auto& e, const auto& in) { return device_pass(e, in, c); });
  }
}
TEST_F(two_stream_device, joins_choices_and_volumes_replay_as_a_graph) {
  expect_replays(exec, other, [](auto& e, const auto& in) { return device_rows_pass(e, in); });
}

// Two executors with a stream each, at once, compute what each computes alone.
TEST_F(two_stream_device, two_streams_do_not_meet) {
  const pass_case of_a{pass_plan::sorted}, of_b{pass_plan::parts, sqs::sparse::product_precision::bfloat16};
  const auto a = on_device(exec, inputs_of_pass<float>(3000, 9, 1)),
             b = on_device(other, inputs_of_pass<float>(4000, 7, 2));
  const auto alone_a = results_on_host(exec, device_pass(exec, a, of_a)),
             alone_b = results_on_host(other, device_pass(other, b, of_b));
  for (int i = 0; i < 10; ++i) {
    const auto x = device_pass(exec, a, of_a);
    const auto y = device_pass(other, b, of_b);
    EXPECT_TRUE(same_bits_of_all(results_on_host(exec, x), alone_a)) << i;
    EXPECT_TRUE(same_bits_of_all(results_on_host(other, y), alone_b)) << i;
  }
}

} // namespace
