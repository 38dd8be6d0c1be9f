// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The numbers that define what a rasterized image is. They are compile-time values: a change is a different type.

#include <sqs/gaussian/covariance.hpp>

namespace sqs::splat {

/// An exact fraction. Class-type template parameters hold integers only, because not every supported compiler takes
/// floating-point members in them.
struct ratio {
  std::int64_t over = 0, under = 1;
  template <class T> constexpr T as() const { return static_cast<T>(over) / static_cast<T>(under); }
};

/// What happens to the Gaussian that would take the transmittance to `raster_config::stop` or below.
enum class stop_rule {
  exclusive, ///< it is not blended (3DGS, gsplat)
  inclusive, ///< it is the last one blended
};

/// The definition of an image. The defaults are those of 3D Gaussian splatting as the common engines implement it.
///
/// Source      Kerbl et al. 2023; gsplat 1.6 for alpha_max, the cut-derived extent and the clamp of the Jacobian.
struct raster_config {
  int channels = 3;         ///< of the colours; depth and transmittance come in addition
  int tile = 16;            ///< edge of a square tile in pixels: 8, 16 or 32
  ratio alpha_max{99, 100}; ///< cap of alpha; no gradient passes beyond it
  ratio alpha_cut{1, 255};  ///< smaller alphas are skipped; a Gaussian's extent follows from it
  ratio stop{1, 10000};     ///< transmittance at which a pixel is finished
  stop_rule rule = stop_rule::exclusive;
  ratio near{1, 5};          ///< m: centres with camera-frame z up to here are culled
  ratio low_pass{3, 10};     ///< px^2, added to the diagonal of the 2D covariance
  ratio clamp_margin{3, 10}; ///< the Jacobian is evaluated at most this share of half the image outside it
  covariance_convention convention = covariance_convention::r_s2_rt;
};

/// The configuration as constants of scalar type T. Kernels read these, never the template parameter: one supported
/// compiler reads nested members of a class-type template parameter as zero unless the expression is constant.
template <raster_config Config, class T> struct raster_constants {
  static constexpr int channels = Config.channels;
  static constexpr int tile = Config.tile;
  static constexpr T alpha_max = Config.alpha_max.template as<T>();
  static constexpr T alpha_cut = Config.alpha_cut.template as<T>();
  static constexpr T stop = Config.stop.template as<T>();
  static constexpr bool exclusive = Config.rule == stop_rule::exclusive;
  static constexpr T near = Config.near.template as<T>();
  static constexpr T low_pass = Config.low_pass.template as<T>();
  static constexpr T clamp_margin = Config.clamp_margin.template as<T>();
  static constexpr covariance_convention convention = Config.convention;

  static_assert(channels >= 1, "sqs::splat: raster_config::channels must be at least 1");
  static_assert(tile == 8 || tile == 16 || tile == 32, "sqs::splat: raster_config::tile must be 8, 16 or 32");
  static_assert(alpha_max > T(0) && alpha_max < T(1), "sqs::splat: raster_config::alpha_max must lie inside (0, 1): "
                                                      "the backward pass divides by 1 - alpha");
  static_assert(alpha_cut > T(0) && alpha_cut < alpha_max, "sqs::splat: raster_config::alpha_cut must lie inside "
                                                           "(0, alpha_max): the extent of a Gaussian follows from it");
  static_assert(stop >= T(0) && stop < T(1), "sqs::splat: raster_config::stop must lie inside [0, 1)");
  static_assert(near > T(0), "sqs::splat: raster_config::near must be positive: depth keys are compared as bits");
  static_assert(low_pass > T(0), "sqs::splat: raster_config::low_pass must be positive: it keeps the 2D covariance "
                                 "invertible");
};

} // namespace sqs::splat
