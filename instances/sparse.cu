// SPDX-License-Identifier: Apache-2.0
// The sparse engine's kernels of `sqs::cuda_instances`: those that `use` calls, for float and three axes.
#undef SQS_USE_CUDA_INSTANCES
#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs;

/// What a program may hold: nothing is known about it here, so nothing is left out.
struct inputs {
  tensor<std::int32_t, 2, device> coordinates;
  tensor<std::int32_t, 1, device> count;
  tensor<float, 2, device> points, rows, gradient;
  tensor<float, 3, device> weight;
  tensor<float, 1, device> vector;
  std::array<idx, 3> grid{};
  sparse::voxel_grid<float, 3> box;
  sparse::relation<3> relation;
  std::array<bool, 3> needs{};
  sparse::product_precision precision{};
  sparse::pooling kind{};
  sparse::point_reduction reduction{};
};

template <class Op, class... Args> void both_ways(sqs::cuda& e, const Op& op, const inputs& in, const Args&... args) {
  const auto r = op.forward(e, args...);
  if constexpr (requires { op.backward(e, r.saved, in.gradient, in.needs); }) {
    op.backward(e, r.saved, in.gradient, in.needs);
  } else {
    op.backward(e, r.saved, in.gradient);
  }
}

/// Nobody calls it.
[[gnu::used]] void use(sqs::cuda& e, const inputs& in) {
  const auto voxels = sparse::voxelize(e, in.points, in.box, in.count);
  both_ways(e, sparse::device_voxel_features_op<3>{voxels, in.reduction}, in, in.rows);
  const auto sites = sparse::make_device_sites<3>(e, in.coordinates, in.grid, 1, in.count);
  sparse::check_sites(e, sites);
  auto plan = sparse::make_device_submanifold_plan<3>(e, sites, in.relation.taps);
  plan = sparse::restricted_device_plan<3>(e, plan, in.relation.taps, in.relation.taps);
  plan = sparse::with_bricks(e, sparse::split_by_taps(e, sparse::sorted_by_taps(e, plan), 2), sites, in.relation.taps);
  auto down = sparse::make_device_convolution_plan<3>(e, sites, in.relation);
  auto up = sparse::make_device_transposed_plan<3>(e, sites, in.relation);
  auto back = sparse::make_device_inverse_plan<3>(down);
  for (const auto& p : {plan, down.plan, up.plan, back.plan, sparse::make_device_pointwise_plan<3>(e, sites)}) {
    const sparse::device_convolution_op op{p, 1, in.precision};
    op.finished(e, in.rows, in.weight, in.vector, {in.vector, in.vector, in.rows, {}});
    both_ways(e, op, in, in.rows, in.weight, in.vector);
  }
  both_ways(e, sparse::device_pooling_op{plan, in.kind}, in, in.rows);
  both_ways(e, sparse::device_row_affine_op{}, in, in.rows, in.vector, in.vector);
  const sparse::device_folded_batch_norm_op fold{};
  const auto folded = fold.forward(e, in.vector, in.vector, in.vector, in.vector);
  fold.backward(e, folded.saved, in.vector, in.vector);
  const sparse::device_batch_norm_op norm{};
  const auto r = norm.forward(e, in.rows, in.vector, in.vector);
  norm.backward(e, r.saved, in.gradient, in.vector, in.vector);
  both_ways(e, sparse::device_activation_op{}, in, in.rows);
  both_ways(e, sparse::device_add_op{}, in, in.rows, in.rows);
}

} // namespace
