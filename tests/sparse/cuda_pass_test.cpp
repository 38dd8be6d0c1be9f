// SPDX-License-Identifier: Apache-2.0
// A training step captured and replayed with other inputs, and two steps in turns: on the emulated device.
#include "cuda_pass_cases.hpp"
#include "test_gpu.hpp"

namespace cuda_pass_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

/// As many points in more and more voxels.
pass_inputs<float> some_inputs(std::uint64_t i) {
  return inputs_of_pass<float>(120, 3.0 + 2.0 * static_cast<double>(i), i);
}

TEST(cuda_pass, computes_what_the_host_does) {
  for (const auto way : {pass_plan::plain, pass_plan::sorted, pass_plan::parts, pass_plan::bricks}) {
    test_gpu e{.seed = 5};
    expect_pass_of_host(e, some_inputs(2), {way});
  }
}

/// `run(e, inputs)` put down once and replayed with others has the bits of a direct run.
template <class Run> void expect_replays(Run&& run) {
  test_gpu e{.seed = 7};
  auto in = on_device(e, some_inputs(0));
  run(e, in); // warms the pool
  e.begin_capture();
  const auto captured = run(e, in);
  e.end_capture();
  EXPECT_GT(e.graph.size(), 30u);
  for (const std::uint64_t i : {1u, 0u}) {
    test_gpu direct{.seed = 3 * i};
    const auto wanted = results_on_host(direct, run(direct, on_device(direct, some_inputs(i))));
    overwrite(e, in, some_inputs(i));
    spoil(e, captured);
    e.replay();
    EXPECT_TRUE(same_bits_of_all(results_on_host(e, captured), wanted)) << i;
  }
}

TEST(cuda_pass, replays_as_a_graph_with_other_inputs) {
  for (const auto& c : pass_cases) {
    expect_replays([&](auto& e, const auto& in) { return device_pass(e, in, c); });
  }
}
TEST(cuda_pass, joins_choices_and_volumes_replay_as_a_graph) {
  expect_replays([](auto& e, const auto& in) { return device_rows_pass(e, in); });
}

TEST(cuda_pass, inputs_differ_in_their_voxels) {
  test_gpu e;
  idx before = 0;
  for (const std::uint64_t i : {0u, 1u, 2u}) {
    const auto results = results_on_host(e, device_pass(e, on_device(e, some_inputs(i)), {}));
    const auto voxels = std::get<9>(results)(0), pooled = std::get<10>(results)(0);
    EXPECT_GT(voxels.rows, before + 10);
    EXPECT_LT(pooled.rows, voxels.rows);
    before = voxels.rows;
  }
}

// Two graphs, each with its executor, in turns: a kernel of one, some of the other.
TEST(cuda_pass, two_graphs_do_not_meet) {
  test_gpu a{.seed = 1}, b{.seed = 2};
  const pass_case of_a{pass_plan::sorted}, of_b{pass_plan::parts, sparse::product_precision::bfloat16};
  const auto in_a = on_device(a, some_inputs(1)), in_b = on_device(b, some_inputs(2));
  const auto alone_a = results_on_host(a, device_pass(a, in_a, of_a)),
             alone_b = results_on_host(b, device_pass(b, in_b, of_b));
  a.begin_capture(), b.begin_capture();
  const auto x = device_pass(a, in_a, of_a);
  const auto y = device_pass(b, in_b, of_b);
  a.end_capture(), b.end_capture();
  const auto draw = random_stream::of(4);
  for (std::size_t i = 0, j = 0; i < a.graph.size() || j < b.graph.size();) {
    const bool first = j == b.graph.size() || (i < a.graph.size() && draw.bits(static_cast<idx>(i + j)) % 2 == 0);
    first ? a.graph[i++](a.gpu) : b.graph[j++](b.gpu);
  }
  EXPECT_TRUE(same_bits_of_all(results_on_host(a, x), alone_a));
  EXPECT_TRUE(same_bits_of_all(results_on_host(b, y), alone_b));
}

TEST(cuda_pass, what_a_capture_refuses_is_seen) {
  test_gpu e;
  const auto in = on_device(e, some_inputs(0));
  const auto at = sparse::voxelize(e, in.points, box_of_pass<float>()).at;
  const sparse::tap_set<3> taps = sparse::taps<3, 3, 3>{};
  e.begin_capture();
  EXPECT_THAT(message_of([&] { sparse::check_sites(e, at); }),
              HasSubstr("memory of the host is written while a graph"));
  EXPECT_THAT(
      message_of([&] { sparse::with_bricks(e, sparse::make_device_submanifold_plan<3>(e, at, taps), at, taps); }),
      HasSubstr("while a graph is captured"));
  EXPECT_THAT(message_of([&] { to_device(e, some_inputs(0).bias); }), HasSubstr("memory of the host is read"));
  EXPECT_THAT(message_of([&] { synchronize(e); }), HasSubstr("the host waits while a graph is captured"));
  const auto much = empty<float, 1>(e, {idx{1} << 24});
  EXPECT_THAT(message_of([&] { e.end_capture(); }), HasSubstr("memory was taken from the system 1 times"));
}

} // namespace cuda_pass_test
