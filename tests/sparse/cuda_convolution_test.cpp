// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on the emulated device: the numbers of the host, adjoints, the same bits for every order of
// threads.
#include "cuda_convolution_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_convolution_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(cuda_convolution, computes_what_the_host_does) {
  for (const auto& [rows, seed] : {std::pair{100, 1}, {30, 2}}) {
    emulator::gpu e{.seed = 1000 + static_cast<std::uint64_t>(seed)};
    expect_convolutions_of_many_shapes<double>(e, rows, static_cast<std::uint64_t>(seed));
  }
}

TEST(cuda_convolution, finishes_as_the_host_does) {
  emulator::gpu e{.seed = 7};
  expect_same_epilogue<double>(e, 3);
}

TEST(cuda_convolution, repeats_bit_for_bit) { expect_same_bits_for_every_order<double, emulator::gpu>(); }

TEST(cuda_convolution, in_another_order_of_outputs_has_the_same_bits) {
  emulator::gpu e;
  for (const auto& plan : some_plans(e, 150, 6)) {
    const auto x = random<2>({plan.device.forward.inputs, 6}, 1), dy = random<2>({plan.device.forward.outputs, 5}, 2);
    const auto w = random<3>({plan.device.forward.taps, 6, 5}, 3);
    const auto b = random<1>({5}, 4);
    const auto first = on_device(e, sparse::device_convolution_op{plan.device}, x, w, b, dy);
    const sparse::device_convolution_op sorted{sparse::sorted_by_taps(e, plan.device)};
    const auto again = on_device(e, sorted, x, w, b, dy);
    EXPECT_TRUE(same_bits(std::get<0>(again), std::get<0>(first)));
    EXPECT_TRUE(same_bits(std::get<1>(again), std::get<1>(first)));
    EXPECT_LE(relative_gap(std::get<2>(again), std::get<2>(first)), 1e-12); // pairs in another order
  }
}

TEST(cuda_convolution, a_line_of_three_by_hand) {
  // Cells 0, 1, 3; W doubles from tap to tap: 1, 10, 100. The numbers of the host's test.
  emulator::gpu e;
  const auto s = sparse::make_device_sites<1>(e, to_device(e, as_tensor({{0, 0}, {0, 1}, {0, 3}}, 1)), {4});
  const sparse::device_convolution_op op{sparse::make_device_submanifold_plan<1>(e, s, sparse::taps<3>{})};
  const auto row = [](std::initializer_list<double> v) {
    auto t = make_tensor<double, 1>({3});
    std::copy(v.begin(), v.end(), t.begin());
    return t;
  };
  const auto [y, dx, dw, db] =
      on_device(e, op, row({2, 3, 5}).reshaped<2>({3, 1}), row({1, 10, 100}).reshaped<3>({3, 1, 1}),
                make_tensor<double, 1>({1}, 7000.0), row({1, 2, 3}).reshaped<2>({3, 1}));
  EXPECT_THAT(y.span(), testing::ElementsAre(7320, 7032, 7050));
  EXPECT_THAT(dx.span(), testing::ElementsAre(12, 120, 30));
  EXPECT_THAT(dw.span(), testing::ElementsAre(4, 23, 3));
  EXPECT_THAT(db.span(), testing::ElementsAre(6));
}

TEST(cuda_convolution, forward_and_backward_are_adjoint) {
  // <conv(x, w), dy> = <x, dx> = <w, dw>, with nothing of the host in it.
  emulator::gpu e;
  const auto dot = [](const auto& a, const auto& b) {
    double sum = 0;
    for (idx i = 0; i < a.size(); ++i) { sum += a.data()[i] * b.data()[i]; }
    return sum;
  };
  for (const auto& plan : some_plans(e, 150, 9)) {
    const idx inputs = plan.device.forward.inputs, outputs = plan.device.forward.outputs,
              taps = plan.device.forward.taps;
    for (const auto& c : {convolution_shape{5, 11}, {12, 6, 3}, {8, 8, 8}}) {
      const auto x = random<2>({inputs, c.cin}, 1), dy = random<2>({outputs, c.cout}, 2);
      const auto w = random<3>({taps, c.cin / c.groups, c.cout}, 3);
      const auto [y, dx, dw, db] =
          on_device(e, sparse::device_convolution_op{plan.device, c.groups}, x, w, make_tensor<double, 1>({0}), dy);
      const double expected = dot(y, dy), scale = std::sqrt(dot(y, y) * dot(dy, dy));
      EXPECT_NEAR(dot(x, dx), expected, 1e-12 * scale);
      EXPECT_NEAR(dot(w, dw), expected, 1e-12 * scale);
      EXPECT_GT(scale, 1);
      EXPECT_EQ(db.size(), 0);
    }
  }
}

TEST(cuda_convolution, rows_that_do_not_exist_become_zero_and_give_nothing) {
  // Room for 100 rows of which 70 exist; the others hold NaN.
  emulator::gpu e;
  cpu host{.threads = 1};
  const auto cells = random_cells{6}.draw(100, 1, {7, 7, 7});
  const auto some = as_tensor({cells.begin(), cells.begin() + 70}, 3);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, as_tensor(cells, 3)), {7, 7, 7}, 1,
                                              to_device(e, make_tensor<std::int32_t, 1>({1}, 70)));
  const auto at = sparse::make_sites<3>(host, some, {7, 7, 7});
  const auto plan = sparse::make_convolution_plan<3>(host, at, halving);
  const auto device = sparse::make_device_convolution_plan<3>(e, s, halving);
  const idx outputs = plan.output.rows, room = device.output.capacity;
  ASSERT_GT(room, outputs);
  const auto widened = [](const tensor<double, 2>& t, idx rows) {
    auto all = make_tensor<double, 2>({rows, t.extent(1)}, std::numeric_limits<double>::quiet_NaN());
    std::copy(t.begin(), t.end(), all.begin());
    return all;
  };
  const auto x = random<2>({70, 4}, 1), dy = random<2>({outputs, 9}, 2);
  const auto w = random<3>({27, 4, 9}, 3);
  const auto b = random<1>({9}, 4);
  const sparse::convolution_op op{plan.plan};
  const auto r = op.forward(host, x, w, b);
  const auto [dx, dw, db] = op.backward(host, r.saved, dy, {true, true, true});
  const auto [y2, dx2, dw2, db2] =
      on_device(e, sparse::device_convolution_op{device.plan}, widened(x, 100), w, b, widened(dy, room));
  EXPECT_LE(relative_gap(y2.rows(0, outputs), r.value), 1e-12);
  EXPECT_LE(relative_gap(dx2.rows(0, 70), dx), 1e-12);
  EXPECT_LE(relative_gap(dw2, dw), 1e-12);
  EXPECT_LE(relative_gap(db2, db), 1e-12);
  EXPECT_THAT(y2.rows(outputs, room).span(), testing::Each(0.0));
  EXPECT_THAT(dx2.rows(70, 100).span(), testing::Each(0.0));
}

TEST(cuda_convolution, is_an_op_of_a_graph) {
  emulator::gpu e;
  const auto plan = some_plans(e, 40, 1)[0];
  const auto x = to_device(e, random<2>({40, 3}, 1));
  const auto w = to_device(e, random<3>({27, 3, 3}, 2));
  const auto b = to_device(e, random<1>({3}, 3));
  const sparse::device_convolution_op op{plan.device};
  inference_graph g{e};
  const auto y = sqs::apply(g, op, g.input(x), w, b);
  EXPECT_TRUE(same_bits(to_host(e, y.value()), to_host(e, op.forward(e, x, w, b).value)));
}

TEST(cuda_convolution, only_wanted_gradients_are_computed) {
  emulator::gpu e;
  const auto plan = some_plans(e, 30, 1)[0];
  const sparse::device_convolution_op op{plan.device};
  const auto x = to_device(e, random<2>({30, 3}, 1));
  const auto r = op.forward(e, x, to_device(e, random<3>({27, 3, 3}, 2)), to_device(e, random<1>({3}, 3)));
  const auto [dx, dw, db] = op.backward(e, r.saved, x, {false, true, false});
  EXPECT_FALSE(dx);
  EXPECT_TRUE(dw);
  EXPECT_FALSE(db);
}

TEST(cuda_convolution, planted_faults_are_found) {
  // The kernel itself with a barrier or a channel left out: the comparison must see it, and nothing without the fault.
  using sparse::detail::planted_fault, sparse::detail::product_mode;
  emulator::gpu e{.seed = 1};
  const auto plan = some_plans(e, 70, 8)[0].device.forward;
  const auto x = to_device(e, random<2>({70, 20}, 1));
  const auto w = to_device(e, random<3>({27, 20, 30}, 2));
  auto y = empty<double, 2>(e, {70, 30});
  const auto run = [&]<product_mode Mode>() {
    const sparse::detail::table_product_kernel<double, double, Mode> k{
        plan.packed(false), x.data(), w.data(), nullptr, y.data(), 1, 20, 30, {}};
    launch(e, k.blocks(), sparse::detail::product_tile::threads, k);
    return to_host(e, y);
  };
  const auto right = run.operator()<product_mode{}>();
  EXPECT_TRUE(same_bits(run.operator()<product_mode{}>(), right));
  EXPECT_FALSE((same_bits(run.operator()<product_mode{.fault = planted_fault::no_first_barrier}>(), right)));
  EXPECT_FALSE((same_bits(run.operator()<product_mode{.fault = planted_fault::no_last_barrier}>(), right)));
  EXPECT_FALSE((same_bits(run.operator()<product_mode{.fault = planted_fault::one_channel_less}>(), right)));
}

TEST(cuda_convolution, misuse_is_told) {
  emulator::gpu e;
  const auto plan = some_plans(e, 30, 1)[0].device;
  const auto x = to_device(e, random<2>({30, 4}, 1));
  const auto w = to_device(e, random<3>({27, 4, 6}, 2)), few = to_device(e, random<3>({9, 4, 6}, 2));
  const auto none = zeros<double, 1>(e, {0});
  const auto says = [&](auto&& f) { return message_of(f); };
  EXPECT_THAT(
      says([&] { sparse::device_convolution_op{plan}.forward(e, x, few, none); }),
      HasSubstr("sqs::sparse::device_convolution: x has 30 rows and weight 9 taps, the plan has 30 input rows and "
                "27 taps; use the plan of x's sites and this kernel"));
  EXPECT_THAT(says([&] {
                sparse::device_convolution_op{plan, 3}.forward(e, x, w, none);
              }),
              HasSubstr("3 groups do not divide 4 input and 6 output channels; choose a common divisor"));
  EXPECT_THAT(says([&] {
                sparse::device_convolution_op{plan, 2}.forward(e, x, w, none);
              }),
              HasSubstr("x has 4 channels in 2 groups, weight is [27, 4, 6], bias has 0 elements; weight must be"));
  EXPECT_THAT(says([&] {
                sparse::device_convolution_op{plan}.finished(e, x, w, none, {{}, none, x, {}});
              }),
              HasSubstr("y is [30, 6], the epilogue has 0 scales, 0 shifts and a residual of 120 elements; give one"));
  EXPECT_THAT(says([&] {
                sparse::device_convolution_op{plan, 1, sparse::product_precision::tf32}.forward(e, x, w, none);
              }),
              HasSubstr("tensor cores sum floats, the weights are double; use product_precision::full"));
  const auto r = sparse::device_convolution_op{plan}.forward(e, x, w, none);
  EXPECT_THAT(says([&] {
                sparse::device_convolution_op{plan}.backward(e, r.saved, x, {true, true, true});
              }),
              HasSubstr("the gradient of y is [30, 4] but y is [30, 6]; give a gradient of y's shape"));
}

} // namespace cuda_convolution_test
