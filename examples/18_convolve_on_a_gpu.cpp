// SPDX-License-Identifier: Apache-2.0
// Background  Points become voxels, a sparse encoder convolves them: here on a GPU, by a program that the host compiler
//             compiles. The kernels come from the target sqs::cuda_instances.
// New here    sites, plans and convolutions in device memory; tensor cores by a word.
// Builds on   12, 17.
// Run         convolve_on_a_gpu      (built where CMake finds nvcc)
// Expect      how far the GPU's features and gradients are from the CPU's; or that there is no GPU.
#include "on_a_gpu.hpp"

#include <sqs/core/random.hpp>
#include <sqs/exec/cuda.hpp>
#include <sqs/sparse.hpp>
#include <sqs/sparse/cuda/convolution.hpp>
#include <sqs/sparse/cuda/pooling.hpp>
#include <sqs/sparse/cuda/voxelize.hpp>
#include <sqs/tensor/copy.hpp>

#include <cstdio>

using namespace sqs;

/// A street's worth of points: a ground and two walls, with three features each.
tensor<float, 2> points_of_a_street(idx n) {
  auto points = make_tensor<float, 2>({n, 3});
  const auto draw = random_stream::of(1);
  for (idx i = 0; i < n; ++i) {
    const auto next = [&](idx k, double low, double high) {
      return static_cast<float>(draw.uniform(3 * i + k, low, high));
    };
    const bool ground = i % 2 == 0;
    points(i, 0) = next(0, -20, 20);
    points(i, 1) = ground ? next(1, -6, 6) : (i % 4 == 1 ? -6.0f : 6.0f) + next(1, -0.1, 0.1);
    points(i, 2) = ground ? next(2, -0.1, 0.1) : next(2, 0, 4);
  }
  return points;
}
template <int R> tensor<float, R> random_numbers(extents<R> shape, std::uint64_t seed, double bound) {
  auto x = make_tensor<float, R>(shape);
  for (idx i = 0; i < x.size(); ++i) {
    x.data()[i] = static_cast<float>(random_stream::of(seed).uniform(i, -bound, bound));
  }
  return x;
}

int main() {
  if (!has_device()) {
    std::puts("no CUDA device here: nothing to convolve on");
    return 0;
  }
  const sparse::voxel_grid<float> box{{-20, -8, -1}, {20, 8, 5}, {0.2f, 0.2f, 0.2f}};
  const auto points = points_of_a_street(40000);
  const auto weight = random_numbers<3>({27, 3, 32}, 2, 0.2);
  const auto bias = make_tensor<float, 1>({32}, 0.1f);

  cpu host_exec;
  const auto voxels = sparse::voxelize(host_exec, points, box);
  const auto x = sparse::voxel_features_op<3>{voxels}.forward(host_exec, points).value;
  const auto plan = sparse::make_submanifold_plan(host_exec, voxels.at, sparse::taps<3, 3, 3>{});
  const auto wanted = sparse::convolution_op{plan}.forward(host_exec, x, weight, bias);
  const auto [dx, dw, db] =
      sparse::convolution_op{plan}.backward(host_exec, wanted.saved, wanted.value, {true, true, true});

  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  {
    sqs::cuda exec{stream}; // `cuda` alone is also the namespace of libcu++
    open(exec);
    const auto there = to_device(exec, points);
    const auto found = sparse::voxelize(exec, there, box, {}, 1, voxels.at.rows);
    const auto features = sparse::device_voxel_features_op<3>{found}.forward(exec, there).value;
    const auto table =
        sparse::sorted_by_taps(exec, sparse::make_device_submanifold_plan<3>(exec, found.at, sparse::taps<3, 3, 3>{}));
    for (const auto precision : {sparse::product_precision::full, sparse::product_precision::tf32}) {
      const sparse::device_convolution_op convolve{table, 1, precision};
      const auto got = convolve.forward(exec, features, to_device(exec, weight), to_device(exec, bias));
      const auto [d_features, d_weight, d_bias] =
          convolve.backward(exec, got.saved, to_device(exec, wanted.value), {true, true, true});
      std::printf("%s: features differ by %.1e, gradients by %.1e (features), %.1e (weights), %.1e (bias)\n",
                  precision == sparse::product_precision::full ? "float" : "tf32 ",
                  difference(to_host(exec, got.value), wanted.value), difference(to_host(exec, d_features), dx),
                  difference(to_host(exec, d_weight), dw), difference(to_host(exec, d_bias), db));
    }
    sparse::check_sites(exec, found.at); // raises if there was not room for all voxels
    std::printf("%lld points in %lld voxels\n", static_cast<long long>(points.extent(0)),
                static_cast<long long>(voxels.at.rows));
  }
  cudaStreamDestroy(stream);
}
