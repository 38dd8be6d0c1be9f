// SPDX-License-Identifier: Apache-2.0
// Sparse convolution in float on the emulated device, with features of float and of bfloat16: the numbers of the host.
#include "cuda_convolution_cases.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace cuda_convolution_float_test {

using namespace sqs;
using namespace sqs::test;

TEST(cuda_convolution_in_float, computes_what_the_host_does) {
  for (const auto& [rows, seed] : {std::pair{100, 3}, {30, 4}}) {
    emulator::gpu e{.seed = 1000 + static_cast<std::uint64_t>(seed)};
    expect_convolutions_of_many_shapes<float>(e, rows, static_cast<std::uint64_t>(seed));
  }
}

TEST(cuda_convolution_in_float, finishes_as_the_host_does) {
  emulator::gpu e{.seed = 7};
  expect_same_epilogue<float>(e, 3);
}

TEST(cuda_convolution_in_float, repeats_bit_for_bit) { expect_same_bits_for_every_order<float, emulator::gpu>(); }

TEST(cuda_convolution_in_float, narrow_features_are_computed_with_in_float) {
  emulator::gpu e;
  cpu host{.threads = 1};
  const auto plan = some_plans(e, 120, 4)[1];
  const idx inputs = plan.host.forward.inputs, outputs = plan.host.forward.outputs;
  const auto narrow = [](const tensor<double, 2>& t) {
    auto n = make_tensor<bfloat16, 2>(t.shape());
    for (idx i = 0; i < t.size(); ++i) { n.data()[i] = bfloat16(static_cast<float>(t.data()[i])); }
    return n;
  };
  const auto x = narrow(random<2>({inputs, 10}, 1)), dy = narrow(random<2>({outputs, 12}, 2));
  const auto w = random_float<3>({27, 10, 12}, 3);
  const auto b = random_float<1>({12}, 4);
  const sparse::convolution_op op{plan.host};
  const auto r = op.forward(host, x, w, b);
  const auto [dx, dw, db] = op.backward(host, r.saved, dy, {true, true, true});
  const auto [y2, dx2, dw2, db2] = on_device(e, sparse::device_convolution_op{plan.device}, x, w, b, dy);
  EXPECT_LE(relative_gap(y2, r.value), 1.0 / 256); // a sum may round to the next number
  EXPECT_LE(relative_gap(dx2, dx), 1.0 / 256);
  EXPECT_LE(relative_gap(dw2, dw), 1e-5);
  EXPECT_LE(relative_gap(db2, db), 1e-5);
}

} // namespace cuda_convolution_float_test
