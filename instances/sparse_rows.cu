// SPDX-License-Identifier: Apache-2.0
// The kernels of `sqs::cuda_instances` for sparse tensors that are joined, chosen, stacked and made dense: those that `use`
// calls, for float and three axes, for two and for three inputs.
#undef SQS_USE_CUDA_INSTANCES
#include <sqs/core/bfloat16.hpp>
#include <sqs/sparse/cuda/sparse.cuh>

namespace {

using namespace sqs;

/// What a program may hold: nothing is known about it here, so nothing is left out.
struct inputs {
  std::array<sparse::device_sites<3>, 3> sites; // that they are the same nobody may know either
  tensor<float, 2, device> rows, gradient, points;
  tensor<float, 1, device> vector;
  tensor<float, 5, device> volume;
  tensor<float, 4, device> image;
  tensor<std::uint8_t, 1, device> mask;
  tensor<std::uint8_t, 4, device> cells;
  tensor<std::int32_t, 1, device> batch;
  std::array<idx, 3> lower{}, upper{};
  sparse::combination how{};
  sparse::pooling kind{};
  double rate = 0;
  bool wanted = false;
};

/// `dy`: in the type and shape of the result.
template <class Op, class D, class... Args>
void both_ways(sqs::cuda& e, const Op& op, const inputs& in, const D& dy, const Args&... args) {
  const auto r = op.forward(e, args...);
  std::array<bool, sizeof...(Args)> needs{};
  needs.fill(in.wanted);
  if constexpr (requires { op.backward(e, r.saved, dy, needs); }) {
    op.backward(e, r.saved, dy, needs);
  } else {
    op.backward(e, r.saved, dy);
  }
}

/// Joins and stacks of as many inputs as there are arguments.
template <class... Same> void use_together(sqs::cuda& e, const inputs& in, const Same&... sites) {
  constexpr std::size_t n = sizeof...(Same);
  const auto rows = [&](const auto&) -> const tensor<float, 2, device>& { return in.rows; };
  const auto use_join = [&](const sparse::device_row_join<n>& join) {
    both_ways(e, sparse::device_combine_op<n>{join, in.how}, in, in.gradient, rows(sites)...);
    both_ways(e, sparse::device_concatenate_channels_op<n>{join}, in, in.gradient, rows(sites)...);
  };
  use_join(sparse::unite(e, sites...).rows), use_join(sparse::intersect(e, sites...).rows);
  const std::array<sparse::device_sites<3>, n> all{sites...};
  const auto stacked = sparse::stack_sites<3>(e, std::span<const sparse::device_sites<3>>(all));
  both_ways(e, sparse::device_stack_rows_op<n>{stacked.first}, in, in.gradient, rows(sites)...);
}

void use_selection(sqs::cuda& e, const inputs& in, const sparse::device_site_selection<3>& s) {
  for (const auto& kept : {s.kept, decltype(s.kept){}}) {
    both_ways(e, sparse::device_take_rows_op{s.rows, kept}, in, in.gradient, in.rows);
    both_ways(e, sparse::device_put_rows_op{s.rows, s.kept.size(), kept}, in, in.gradient, in.rows);
  }
}

template <class To> void use_cast(sqs::cuda& e, const inputs& in) {
  const auto r = sparse::device_cast_op<To>{}.forward(e, in.rows);
  sparse::device_cast_op<To>{}.backward(e, r.saved, r.value);
}

/// Nobody calls it.
[[gnu::used]] void use(sqs::cuda& e, const inputs& in) {
  const auto& s = in.sites[0];
  sparse::check_sites(e, s);
  s.coordinates(e);
  use_together(e, in, s, in.sites[1]), use_together(e, in, s, in.sites[1], in.sites[2]);
  use_selection(e, in, sparse::prune(e, s, in.mask));
  use_selection(e, in, sparse::top_k(e, s, in.vector, in.mask.size()));
  use_selection(e, in, sparse::slice_batch(e, s, in.mask.size()));
  use_selection(e, in, sparse::crop(e, s, in.lower, in.upper));
  both_ways(e, sparse::device_to_dense_op<3>{s}, in, in.volume, in.rows);
  both_ways(e, sparse::device_from_dense_op<3>{s}, in, in.gradient, in.volume);
  sparse::sites_of_mask(e, in.cells);
  sparse::sites_of_nonzero(e, in.volume);
  both_ways(e, sparse::device_sample_volume_op<3>{}, in, in.gradient, in.volume, in.points, in.batch);
  both_ways(e, sparse::device_sample_volume_op<2>{}, in, in.gradient, in.image, in.points, in.batch);
  both_ways(e, sparse::device_global_pooling_op<3>{s, in.kind}, in, in.gradient, in.rows);
  both_ways(e, sparse::device_voxel_group_norm_op{s.status}, in, in.gradient, in.rows, in.vector, in.vector);
  both_ways(e, sparse::device_dropout_op{in.rate, {}}, in, in.gradient, in.rows);
  use_cast<bfloat16>(e, in), use_cast<float16>(e, in);
}

} // namespace
