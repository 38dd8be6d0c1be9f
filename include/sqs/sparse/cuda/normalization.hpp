// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Norms of the rows of a sparse tensor in device memory: the twins of normalization.hpp. `voxel_group_norm` with one
/// group is the layer norm of each voxel.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/cuda/gradient_shape.hpp>
#include <sqs/sparse/cuda/memory_user.hpp>
#include <sqs/sparse/cuda/norm_kernels.hpp>

#include <tuple>

namespace sqs::sparse {

/// Which rows exist: the status of their sites, or nothing where all do.
using device_rows = tensor<site_status, 1, device>;

namespace detail {
inline const site_status* data_of(const device_rows& r) { return r ? r.data() : nullptr; }
template <class T>
void check_channels(const char* norm, idx c, const tensor<T, 1, device>& gain, const tensor<T, 1, device>& bias) {
  expects(gain.extent(0) == c && bias.extent(0) == c, "sqs::sparse::", norm, ": x has ", c,
          " channels, the first "
          "vector ",
          gain.extent(0), ", the second ", bias.extent(0), "; they must agree");
}
} // namespace detail

/// y = x scale + shift, channel by channel.
///
/// Shapes      x [N, C], scale [C], shift [C] -> y [N, C]; rows that do not exist become zero
/// Gradient    x, scale, shift
/// Execution   Nothing waits for the device; the same bits in every run. So for all operators here.
struct device_row_affine_op {
  device_rows rows;
  template <class T> struct saved {
    tensor<T, 2, device> x;
    tensor<T, 1, device> scale;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x,
                                                     const tensor<T, 1, device>& scale,
                                                     const tensor<T, 1, device>& shift) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_row_affine_op");
    detail::check_channels("device_row_affine_op", x.extent(1), scale, shift);
    auto y = empty<T, 2>(e, x.shape());
    launch(e, detail::grid_blocks(y.size()), detail::grid_threads,
           detail::scale_rows_kernel<T>{x.data(), nullptr, scale.data(), shift.data(), detail::data_of(rows),
                                        x.extent(0), x.extent(1), y.data()});
    return result{std::move(y), saved<T>{x, scale}};
  }
  template <device_executor E, class T> auto backward(E& e, const saved<T>& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_row_affine_op (backward)");
    const idx n = s.x.extent(0), c = s.x.extent(1);
    detail::require_device_gradient("device_row_affine_op", dy, n, c);
    auto dx = empty<T, 2>(e, dy.shape());
    const auto* const status = detail::data_of(rows);
    launch(e, detail::grid_blocks(dx.size()), detail::grid_threads,
           detail::scale_rows_kernel<T>{dy.data(), nullptr, s.scale.data(), nullptr, status, n, c, dx.data()});
    auto dscale =
        detail::column_sums<T>(e, detail::centred_product_term<T>{s.x.data(), dy.data(), nullptr, c}, status, n, c);
    auto dshift = detail::column_sums<T>(e, detail::element_term<T, T>{dy.data(), c}, status, n, c);
    return std::tuple{std::move(dx), std::move(dscale), std::move(dshift)};
  }
};

/// Batch norm in evaluation as a scale and a shift, for `device_row_affine_op` or the epilogue of a convolution; see
/// `folded_batch_norm_op`.
///
/// Shapes      all [C] -> (scale, shift)
/// Gradient    gain, bias
struct device_folded_batch_norm_op {
  double eps = 1e-5;
  template <class T> struct saved { tensor<T, 1, device> mean, variance; };

  template <device_executor E, class T> auto forward(E& e, const tensor<T, 1, device>& gain,
                                                     const tensor<T, 1, device>& bias, const tensor<T, 1, device>& mean,
                                                     const tensor<T, 1, device>& variance) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_folded_batch_norm_op");
    const idx c = gain.extent(0);
    detail::check_channels("device_folded_batch_norm_op", c, bias, mean);
    detail::check_channels("device_folded_batch_norm_op", c, mean, variance);
    auto scale = empty<T, 1>(e, {c}), shift = empty<T, 1>(e, {c});
    launch(e, detail::grid_blocks(c), detail::grid_threads,
           detail::fold_norm_kernel<T>{gain.data(), bias.data(), mean.data(), variance.data(), c, static_cast<T>(eps),
                                       scale.data(), shift.data()});
    return result{std::tuple{std::move(scale), std::move(shift)}, saved<T>{mean, variance}};
  }
  template <device_executor E, class T>
  auto backward(E& e, const saved<T>& s, const tensor<T, 1, device>& dscale, const tensor<T, 1, device>& dshift) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_folded_batch_norm_op (backward)");
    const idx c = s.mean.extent(0);
    detail::check_channels("device_folded_batch_norm_op (backward)", c, dscale, dshift);
    auto dgain = empty<T, 1>(e, {c});
    launch(e, detail::grid_blocks(c), detail::grid_threads,
           detail::fold_norm_gradient_kernel<T>{s.mean.data(), s.variance.data(), dscale.data(), dshift.data(), c,
                                                static_cast<T>(eps), dgain.data()});
    return std::tuple{std::move(dgain), dshift};
  }
};

/// y = (x - mean) / sqrt(variance + eps) gain + bias with the mean and the biased variance of the rows that exist,
/// which are results, too.
///
/// Shapes      x [N, C], gain [C], bias [C] -> (y [N, C], mean [C], variance [C]); without rows mean and variance are 0
/// Gradient    x, gain, bias, from all three results
/// Execution   Sums over ranges of 256 rows, joined in order and in double.
struct device_batch_norm_op {
  device_rows rows;
  double eps = 1e-5;
  template <class T> struct saved {
    tensor<T, 2, device> x;
    tensor<T, 1, device> gain, mean, variance;
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x,
                                                     const tensor<T, 1, device>& gain,
                                                     const tensor<T, 1, device>& bias) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_batch_norm_op");
    const idx n = x.extent(0), c = x.extent(1),
              ranges = (n + detail::device_range_rows - 1) / detail::device_range_rows;
    detail::check_channels("device_batch_norm_op", c, gain, bias);
    const auto* const status = detail::data_of(rows);
    auto means = empty<T, 2>(e, {ranges, c}), squares = empty<T, 2>(e, {ranges, c});
    auto mean = empty<T, 1>(e, {c}), variance = empty<T, 1>(e, {c}), scale = empty<T, 1>(e, {c});
    launch(e, detail::grid_blocks(means.size()), detail::grid_threads,
           detail::range_moments_kernel<T>{x.data(), status, n, c, means.data(), squares.data()});
    launch(e, detail::grid_blocks(c), detail::grid_threads,
           detail::join_moments_kernel<T>{means.data(), squares.data(), gain.data(), status, n, c, static_cast<T>(eps),
                                          mean.data(), variance.data(), scale.data()});
    auto y = empty<T, 2>(e, x.shape());
    launch(e, detail::grid_blocks(y.size()), detail::grid_threads,
           detail::scale_rows_kernel<T>{x.data(), mean.data(), scale.data(), bias.data(), status, n, c, y.data()});
    return result{std::tuple{std::move(y), mean, variance}, saved<T>{x, gain, mean, variance}};
  }
  template <device_executor E, class T> auto backward(E& e, const saved<T>& s, const tensor<T, 2, device>& dy,
                                                      const tensor<T, 1, device>& dmean,
                                                      const tensor<T, 1, device>& dvariance) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_batch_norm_op (backward)");
    const idx n = s.x.extent(0), c = s.x.extent(1);
    detail::require_device_gradient("device_batch_norm_op", dy, n, c);
    detail::check_channels("device_batch_norm_op", c, dmean, dvariance);
    const auto* const status = detail::data_of(rows);
    auto dbias = detail::column_sums<T>(e, detail::element_term<T, T>{dy.data(), c}, status, n, c);
    const auto product = detail::column_sums<T>(
        e, detail::centred_product_term<T>{s.x.data(), dy.data(), s.mean.data(), c}, status, n, c);
    auto dgain = empty<T, 1>(e, {c}), of_dy = empty<T, 1>(e, {c}), of_x = empty<T, 1>(e, {c});
    auto constant = empty<T, 1>(e, {c});
    launch(e, detail::grid_blocks(c), detail::grid_threads,
           detail::batch_norm_gradient_kernel<T>{s.gain.data(), s.variance.data(), dbias.data(), product.data(),
                                                 dmean.data(), dvariance.data(), status, n, c, static_cast<T>(eps),
                                                 dgain.data(), of_dy.data(), of_x.data(), constant.data()});
    auto dx = empty<T, 2>(e, s.x.shape());
    launch(e, detail::grid_blocks(dx.size()), detail::grid_threads,
           detail::combine_rows_kernel<T>{s.x.data(), s.mean.data(), dy.data(), of_x.data(), of_dy.data(),
                                          constant.data(), status, n, c, dx.data()});
    return std::tuple{std::move(dx), std::move(dgain), std::move(dbias)};
  }
};

/// The running statistics of a batch norm after a step, as `batch_norm` has them. `rows_of_batch`: rows of x.
template <device_executor E, class T>
void update_running_statistics(E& e, const device_rows& rows, idx rows_of_batch, const tensor<T, 1, device>& mean,
                               const tensor<T, 1, device>& variance, double momentum,
                               tensor<T, 1, device>& running_mean, tensor<T, 1, device>& running_variance) {
  const auto asking = detail::memory_for(e, "sqs::sparse::update_running_statistics");
  const idx c = mean.extent(0);
  detail::check_channels("update_running_statistics", c, running_mean, running_variance);
  launch(e, detail::grid_blocks(c), detail::grid_threads,
         detail::update_statistics_kernel<T>{mean.data(), variance.data(), detail::data_of(rows), rows_of_batch, c,
                                             static_cast<T>(momentum), running_mean.data(), running_variance.data()});
}

/// Group norm of each voxel by itself: statistics over the channels of a group of one row.
///
/// Shapes      x [N, C], gain [C], bias [C] -> y [N, C]; groups divides C
/// Gradient    x, gain, bias
/// Execution   One warp per row and group.
struct device_voxel_group_norm_op {
  device_rows rows;
  idx groups = 1;
  double eps = 1e-5;
  template <class T> struct saved {
    tensor<T, 2, device> x;
    tensor<T, 1, device> gain;
    tensor<T, 2, device> mean, factor; ///< [N, groups]
  };
  template <device_executor E, class T> auto forward(E& e, const tensor<T, 2, device>& x,
                                                     const tensor<T, 1, device>& gain,
                                                     const tensor<T, 1, device>& bias) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_voxel_group_norm_op");
    const idx n = x.extent(0), c = x.extent(1);
    expects(groups > 0 && c > 0 && c % groups == 0, "sqs::sparse::device_voxel_group_norm_op: ", c, " channels in ",
            groups, " groups; choose a divisor");
    detail::check_channels("device_voxel_group_norm_op", c, gain, bias);
    auto y = empty<T, 2>(e, x.shape());
    auto mean = empty<T, 2>(e, {n, groups}), factor = empty<T, 2>(e, {n, groups});
    launch(e, detail::grid_blocks(n * groups * warp_size), detail::grid_threads,
           detail::row_norm_kernel<T>{x.data(), gain.data(), bias.data(), detail::data_of(rows), n, c, groups,
                                      static_cast<T>(eps), y.data(), mean.data(), factor.data()});
    return result{std::move(y), saved<T>{x, gain, std::move(mean), std::move(factor)}};
  }
  template <device_executor E, class T> auto backward(E& e, const saved<T>& s, const tensor<T, 2, device>& dy) const {
    const auto asking = detail::memory_for(e, "sqs::sparse::device_voxel_group_norm_op (backward)");
    const idx n = s.x.extent(0), c = s.x.extent(1);
    detail::require_device_gradient("device_voxel_group_norm_op", dy, n, c);
    const auto* const status = detail::data_of(rows);
    auto dx = empty<T, 2>(e, s.x.shape());
    launch(e, detail::grid_blocks(n * groups * warp_size), detail::grid_threads,
           detail::row_norm_gradient_kernel<T>{s.x.data(), s.gain.data(), s.mean.data(), s.factor.data(), dy.data(),
                                               status, n, c, groups, dx.data()});
    auto dgain = detail::column_sums<T>(
        e, detail::normalised_product_term<T>{s.x.data(), dy.data(), s.mean.data(), s.factor.data(), c, groups}, status,
        n, c);
    auto dbias = detail::column_sums<T>(e, detail::element_term<T, T>{dy.data(), c}, status, n, c);
    return std::tuple{std::move(dx), std::move(dgain), std::move(dbias)};
  }
};

} // namespace sqs::sparse
