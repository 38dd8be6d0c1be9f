// SPDX-License-Identifier: Apache-2.0
// The rasterizer on a GPU against the CPU's, from a host compiler: values, gradients, streams, graphs.

#include "cuda_configs.hpp"
#include "device_parity.hpp"
#include "features.hpp"

#include <cuda_runtime_api.h>

SQS_SPLAT_ON_CUDA(extern template, sqs::test::plain, double);
SQS_SPLAT_ON_CUDA(extern template, sqs::test::rich, double);
SQS_SPLAT_ON_CUDA(extern template, sqs::test::jagged, double);

namespace rasterizer_cuda_test {

using namespace sqs;
using namespace sqs::test;
using features::same_bits;

void check(cudaError_t status) { ASSERT_EQ(status, cudaSuccess) << cudaGetErrorString(status); }

class rasterizer_on_cuda : public ::testing::Test {
protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) { GTEST_SKIP() << "no CUDA device"; }
    check(cudaStreamCreateWithFlags(&exec.stream, cudaStreamNonBlocking));
    open(exec);
  }
  void TearDown() override {
    if (exec.stream != nullptr) { (void)cudaStreamDestroy(exec.stream); }
  }
  sqs::cuda exec{};
};

scenes::inputs<float> street(idx gaussians) {
  return scenes::in_scalar<float>(scenes::random(
      {.gaussians = gaussians, .height = 120, .width = 200, .most_opacity = 1.0, .most_scale = 0.3, .seed = 9}));
}
/// A scene in device memory.
struct uploaded {
  tensor<float, 2, device> means, scales, rotations, colours, background;
  tensor<float, 1, device> opacities;
  camera_rig<float> rig;
  uploaded(sqs::cuda& e, const scenes::inputs<float>& in)
      : means(to_device(e, in.s.means)),
        scales(to_device(e, in.s.scales)),
        rotations(to_device(e, in.s.rotations)),
        colours(to_device(e, in.s.colours)),
        background(to_device(e, in.background)),
        opacities(to_device(e, in.s.opacities)),
        rig(in.rig) {}
  auto draw(sqs::cuda& e) const {
    return splat::device_rasterizer<plain>{}.forward(e, means, scales, rotations, opacities, colours, background, rig);
  }
};

TEST_F(rasterizer_on_cuda, equals_the_cpu) { expect_same<plain>(exec, street(2000), 1e-5, 1e-4); }

TEST_F(rasterizer_on_cuda, equals_the_cpu_in_double) {
  expect_same<plain>(exec, scenes::random({.gaussians = 200, .height = 60, .width = 90, .seed = 5}), 1e-11, 1e-10);
}
TEST_F(rasterizer_on_cuda, equals_the_cpu_with_harmonics) {
  auto in = scenes::random({.gaussians = 300, .height = 40, .width = 50, .channels = 48, .seed = 6});
  in.background = make_tensor<double, 2>({2, 3}, 0.3);
  expect_same<splat::harmonics_3>(exec, scenes::in_scalar<float>(in), 1e-5, 1e-4);
}
TEST_F(rasterizer_on_cuda, equals_the_cpu_with_every_feature) {
  auto in = scenes::random({.gaussians = 80, .height = 40, .width = 50, .channels = 27 + 37, .seed = 6});
  in.background = make_tensor<double, 2>({2, 40}, 0.3);
  expect_same<rich>(exec, in, 1e-11, 1e-9);
}
TEST_F(rasterizer_on_cuda, goes_back_by_gaussian) {
  constexpr auto order = splat::backward_order::by_gaussian;
  expect_same<plain>(exec, street(2000), 1e-5, 1e-4, {}, order);
  expect_same<plain>(exec, scenes::random({.gaussians = 200, .height = 60, .width = 90, .seed = 5}), 1e-11, 1e-10, {},
                     order);
  auto in = scenes::random({.gaussians = 80, .height = 40, .width = 50, .channels = 27 + 37, .seed = 6});
  in.background = make_tensor<double, 2>({2, 40}, 0.3);
  expect_same<rich>(exec, in, 1e-11, 1e-9, {}, order);
}
// The boxes of most have hundreds of tiles: their rows are found again when the entries are laid down.
TEST_F(rasterizer_on_cuda, equals_the_cpu_for_large_gaussians) {
  const auto in =
      scenes::random({.gaussians = 16, .height = 300, .width = 400, .least_scale = 2, .most_scale = 9, .seed = 8});
  expect_same<plain>(exec, scenes::in_scalar<float>(in), 1e-5, 1e-4);
}
TEST_F(rasterizer_on_cuda, equals_the_cpu_for_cameras_of_every_kind) {
  auto in = scenes::random({.gaussians = 60, .spread = 1.5, .seed = 22});
  in.rig = {};
  int i = 0;
  for (const auto model :
       {camera_model::pinhole, camera_model::opencv, camera_model::fisheye, camera_model::orthographic}) {
    in.rig.add(features::camera_of(model, 14 + 5 * i, 41 - 6 * i), features::pose_of(i));
    ++i;
  }
  in.background = make_tensor<double, 2>({4, 3}, 0.4);
  expect_same<jagged>(exec, in, 1e-11, 1e-9);
}

// A captured forward and backward pass gives the bits of the first run each time it is replayed.
TEST_F(rasterizer_on_cuda, forward_and_backward_replay_as_a_graph) {
  const uploaded scene(exec, street(2000));
  const auto run = [&] {
    auto r = scene.draw(exec);
    const auto& [image, depth, t] = r.value;
    return std::pair{image, splat::device_rasterizer<plain>{}.backward(exec, r.saved, image, depth, t)};
  };
  const auto eager = run();
  const auto image = to_host(exec, eager.first);
  const auto gradient = to_host(exec, std::get<0>(eager.second));
  cudaGraph_t graph{};
  cudaGraphExec_t replay{};
  check(cudaStreamBeginCapture(exec.stream, cudaStreamCaptureModeThreadLocal));
  auto captured = run();
  check(cudaStreamEndCapture(exec.stream, &graph));
  check(cudaGraphInstantiate(&replay, graph, 0));
  auto& d_means = std::get<0>(captured.second);
  for (int i = 0; i < 3; ++i) {
    check(cudaMemsetAsync(captured.first.data(), 0xff, static_cast<std::size_t>(image.size()) * 4, exec.stream));
    check(cudaMemsetAsync(d_means.data(), 0xff, static_cast<std::size_t>(gradient.size()) * 4, exec.stream));
    check(cudaGraphLaunch(replay, exec.stream));
    EXPECT_TRUE(same_bits(to_host(exec, captured.first), image));
    EXPECT_TRUE(same_bits(to_host(exec, d_means), gradient));
  }
  check(cudaGraphExecDestroy(replay));
  check(cudaGraphDestroy(graph));
}

// Two executors with a stream each, at once, draw what each draws alone.
TEST_F(rasterizer_on_cuda, two_streams_do_not_meet) {
  sqs::cuda other{};
  check(cudaStreamCreateWithFlags(&other.stream, cudaStreamNonBlocking));
  open(other);
  {
    const uploaded a(exec, street(3000)), b(other, street(4000));
    const auto alone_a = to_host(exec, std::get<0>(a.draw(exec).value)),
               alone_b = to_host(other, std::get<0>(b.draw(other).value));
    for (int i = 0; i < 10; ++i) {
      const auto x = a.draw(exec), y = b.draw(other);
      EXPECT_TRUE(same_bits(to_host(exec, std::get<0>(x.value)), alone_a));
      EXPECT_TRUE(same_bits(to_host(other, std::get<0>(y.value)), alone_b));
    }
  }
  check(cudaStreamDestroy(other.stream));
}

TEST_F(rasterizer_on_cuda, repeats_bit_for_bit) {
  const uploaded scene(exec, street(5000));
  const auto run = [&] {
    auto r = scene.draw(exec);
    const auto& [image, depth, t] = r.value;
    const auto d = splat::device_rasterizer<plain>{}.backward(exec, r.saved, image, depth, t);
    return std::tuple{to_host(exec, image), to_host(exec, std::get<0>(d)), to_host(exec, std::get<6>(d))};
  };
  const auto first = run();
  for (int i = 0; i < 5; ++i) { EXPECT_TRUE(features::same_bits_in_all(run(), first)); }
}

} // namespace rasterizer_cuda_test
