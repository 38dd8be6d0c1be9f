// SPDX-License-Identifier: Apache-2.0
// Where a device has no memory left, the error names the op that asked for it, not the sort or the scan in it.
#include "../support/check.hpp"
#include "../support/small_device.hpp"

#include <sqs/sparse/cuda/activation.hpp>
#include <sqs/sparse/cuda/combine.hpp>
#include <sqs/sparse/cuda/convolution.hpp>
#include <sqs/sparse/cuda/dense.hpp>
#include <sqs/sparse/cuda/normalization.hpp>
#include <sqs/sparse/cuda/plan.hpp>
#include <sqs/sparse/cuda/pooling.hpp>
#include <sqs/sparse/cuda/prune.hpp>

namespace cuda_memory_test {

using namespace sqs;
using test::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr idx rows = 64, channels = 8;

struct subject {
  emulator::gpu e = sqs_test::device_of(8 * mib);
  tensor<std::int32_t, 2, device> coordinates;
  sparse::device_sites<3> sites, other;
  sparse::device_plan plan;
  tensor<float, 2, device> x = full<float, 2>(e, {rows, channels}, 1.0f);
  tensor<float, 1, device> scale = full<float, 1>(e, {channels}, 1.0f), scores = full<float, 1>(e, {rows}, 1.0f);
  tensor<float, 3, device> weight = full<float, 3>(e, {27, channels, channels}, 1.0f);

  subject() {
    auto at = make_tensor<std::int32_t, 2>({rows, 4});
    for (idx i = 0; i < rows; ++i) {
      at(i, 0) = 0, at(i, 1) = static_cast<std::int32_t>(i / 16), at(i, 2) = static_cast<std::int32_t>(i / 4 % 4),
            at(i, 3) = static_cast<std::int32_t>(i % 4);
    }
    coordinates = to_device(e, at);
    sites = sparse::make_device_sites<3>(e, coordinates, {4, 4, 4});
    other = sparse::make_device_sites<3>(e, coordinates, {4, 4, 4});
    plan = sparse::make_device_submanifold_plan<3>(e, sites, sparse::taps<3, 3, 3>{});
  }
  /// Takes what is left, to the last block.
  std::vector<tensor<char, 1, device>> fill() {
    sqs_test::small_device::room = 0;
    std::vector<tensor<char, 1, device>> all;
    for (idx size = 8 * mib; size >= 64; size /= 2) {
      while (message_of([&] { all.push_back(empty<char, 1>(e, {size})); }) == "no error") {}
    }
    return all;
  }
};

TEST(cuda_memory, what_is_missing_is_missed_by_the_op) {
  subject s;
  const auto filled = s.fill();
  const auto expect = [&](const char* name, auto&& call) {
    EXPECT_THAT(message_of([&] { (void)call(s.e); }),
                AllOf(StartsWith(concat("sqs::sparse::", name, ": no memory for ")),
                      HasSubstr("; give fewer sites or channels at a time")));
  };
  expect("make_device_sites", [&](auto& e) { return sparse::make_device_sites<3>(e, s.coordinates, {4, 4, 4}); });
  expect("make_device_submanifold_plan",
         [&](auto& e) { return sparse::make_device_submanifold_plan<3>(e, s.sites, sparse::taps<3, 3, 3>{}); });
  expect("make_device_convolution_plan", [&](auto& e) {
    return sparse::make_device_convolution_plan<3>(e, s.sites, {.taps = sparse::taps<2, 2, 2>{}, .stride = {2, 2, 2}});
  });
  expect("sorted_by_taps", [&](auto& e) { return sparse::sorted_by_taps(e, s.plan); });
  expect("unite", [&](auto& e) { return sparse::unite(e, s.sites, s.other); });
  expect("top_k", [&](auto& e) { return sparse::top_k(e, s.sites, s.scores, 3); });
  expect("device_activation_op", [&](auto& e) { return sparse::device_activation_op{}.forward(e, s.x); });
  expect("device_row_affine_op",
         [&](auto& e) { return sparse::device_row_affine_op{}.forward(e, s.x, s.scale, s.scale); });
  expect("device_batch_norm_op",
         [&](auto& e) { return sparse::device_batch_norm_op{}.forward(e, s.x, s.scale, s.scale); });
  expect("device_pooling_op", [&](auto& e) {
    return sparse::device_pooling_op{s.plan, sparse::pooling::max}.forward(e, s.x);
  });
  expect("device_to_dense_op", [&](auto& e) { return sparse::device_to_dense_op<3>{s.sites}.forward(e, s.x); });
  expect("device_convolution_op",
         [&](auto& e) { return sparse::device_convolution_op{s.plan}.forward(e, s.x, s.weight, s.scale); });
}

} // namespace cuda_memory_test
