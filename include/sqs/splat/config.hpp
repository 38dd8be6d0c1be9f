// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The numbers that define what a rasterized image is. They are compile-time values: a change is a different type.

#include <sqs/gaussian/covariance.hpp>

#include <limits>

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

/// What becomes of Gaussians smaller than a pixel. `raster_config::low_pass` is added to the 2D covariance either way.
enum class antialias {
  none, ///< classic: they appear wider than they are, and so brighter
  mip, ///< opacity times sqrt(det before / det after), at least `mip_floor`: what they lose in height they gained in width
};

/// How depth is rendered. Any set, joined by `|`; several kinds become the last extent of the depth output, in this
/// order. w are the blending weights, z camera-frame depths.
enum depth_kinds : unsigned {
  no_depth = 0,
  accumulated_depth = 1, ///< sum w z: not divided by opacity
  expected_depth = 2,    ///< sum w z / (1 - T), 0 where nothing was drawn
  inverse_depth = 4,     ///< sum w / z
  median_depth = 8,      ///< z of the Gaussian at which T falls below 1/2, 0 if none; its z alone has a gradient
};
constexpr depth_kinds operator|(depth_kinds a, depth_kinds b) {
  return static_cast<depth_kinds>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

/// The form of the outputs.
enum class image_layout {
  uniform, ///< image [V,H,W,C], depth and transmittance [V,H,W]; all views have one size
  jagged,  ///< image [P,C], depth and transmittance [P]: the pixels of the views one after the other, row-major
};

/// The definition of an image. The defaults are those of 3D Gaussian splatting as the common engines implement it.
///
/// Source      Kerbl et al. 2023; gsplat 1.6 for alpha_max, the cut-derived extent and the clamp of the Jacobian; Yu et
///             al. 2024 (Mip-Splatting) for antialias::mip.
struct raster_config {
  int channels = 3; ///< of the image; depth and transmittance come in addition
  /// -1: all channels are columns of the colours. 0 .. 4: the first three are the colour max(0, 1/2 + sum Y_k c_k) of
  /// spherical harmonics of this degree in the direction from the camera to the Gaussian; the colours then begin with
  /// the (degree+1)^2 coefficients, three numbers each.
  int sh_degree = -1;
  int tile = 16;            ///< edge of a square tile in pixels: 8, 16 or 32
  ratio alpha_max{99, 100}; ///< cap of alpha; no gradient passes beyond it
  ratio alpha_cut{1, 255};  ///< smaller alphas are skipped; a Gaussian's extent follows from it
  ratio cut_width{0, 1};    ///< > 0: alpha is faded in from alpha_cut to alpha_cut + cut_width, twice differentiable
  ratio stop{1, 10000};     ///< transmittance at which a pixel is finished
  stop_rule rule = stop_rule::exclusive;
  ratio near{1, 5};        ///< m: centres with camera-frame z up to here are culled
  ratio far{0, 1};         ///< m: centres from here on are culled; 0 for none
  ratio radius_clip{0, 1}; ///< px: Gaussians whose extent is at most this along both axes are culled
  ratio low_pass{3, 10};   ///< px^2, added to the diagonal of the 2D covariance
  antialias filter = antialias::none;
  ratio mip_floor{5, 1000};  ///< least factor of antialias::mip
  ratio clamp_margin{3, 10}; ///< the Jacobian is evaluated at most this share of half the image outside it
  covariance_convention convention = covariance_convention::r_s2_rt;
  depth_kinds depth = accumulated_depth;
  bool absgrad = false; ///< also sum |dL/d(centre)| over pixels, for densification: see raster_options
  image_layout layout = image_layout::uniform;
};

namespace detail {
/// log2 x for constants: the standard's is not one.
constexpr double constant_log2(double x) {
  double whole = 0;
  for (; x < 0.70710678118654752; x *= 2) { whole -= 1; }
  for (; x > 1.4142135623730951; x /= 2) { whole += 1; }
  const double s = (x - 1) / (x + 1);
  double sum = 0, power = s;
  for (int i = 1; i < 40; i += 2, power *= s * s) { sum += power / i; }
  return whole + sum * 2.8853900817779268;
}
} // namespace detail

/// The configuration as constants of scalar type T. Kernels read these, never the template parameter: one supported
/// compiler reads nested members of a class-type template parameter as zero unless the expression is constant.
template <raster_config Config, class T> struct raster_constants {
  static constexpr int channels = Config.channels;
  static constexpr int sh_degree = Config.sh_degree;
  static constexpr int sh_columns = sh_degree < 0 ? 0 : 3 * (sh_degree + 1) * (sh_degree + 1);
  static constexpr int columns = sh_degree < 0 ? channels : sh_columns + channels - 3; ///< of the colours
  static constexpr int tile = Config.tile;
  static constexpr T alpha_max = Config.alpha_max.template as<T>();
  static constexpr T alpha_cut = Config.alpha_cut.template as<T>();
  static constexpr T log2_cut = static_cast<T>(detail::constant_log2(Config.alpha_cut.template as<double>()));
  static constexpr T cut_width = Config.cut_width.template as<T>();
  static constexpr T stop = Config.stop.template as<T>();
  static constexpr bool exclusive = Config.rule == stop_rule::exclusive;
  static constexpr T near = Config.near.template as<T>();
  static constexpr T far = Config.far.over > 0 ? Config.far.template as<T>() : std::numeric_limits<T>::max();
  static constexpr T radius_clip = Config.radius_clip.template as<T>();
  static constexpr T low_pass = Config.low_pass.template as<T>();
  static constexpr bool mip = Config.filter == antialias::mip;
  static constexpr T mip_floor = Config.mip_floor.template as<T>();
  static constexpr T clamp_margin = Config.clamp_margin.template as<T>();
  static constexpr covariance_convention convention = Config.convention;
  static constexpr unsigned depth = Config.depth;
  static constexpr bool accumulated = (depth & accumulated_depth) != 0, expected = (depth & expected_depth) != 0,
                        inverse = (depth & inverse_depth) != 0, median = (depth & median_depth) != 0;
  static constexpr int depths = int{accumulated} + int{expected} + int{inverse} + int{median};
  static constexpr bool absgrad = Config.absgrad;
  static constexpr bool jagged = Config.layout == image_layout::jagged;

  static_assert(channels >= 1, "sqs::splat: raster_config::channels must be at least 1");
  static_assert(sh_degree >= -1 && sh_degree <= 4, "sqs::splat: raster_config::sh_degree must be -1 (none) to 4");
  static_assert(sh_degree < 0 || channels >= 3, "sqs::splat: raster_config::channels must be at least 3 with "
                                                "spherical harmonics: they make the first three");
  static_assert(tile == 8 || tile == 16 || tile == 32, "sqs::splat: raster_config::tile must be 8, 16 or 32");
  static_assert(alpha_max > T(0) && alpha_max < T(1), "sqs::splat: raster_config::alpha_max must lie inside (0, 1): "
                                                      "the backward pass divides by 1 - alpha");
  static_assert(alpha_cut > T(0) && alpha_cut < alpha_max, "sqs::splat: raster_config::alpha_cut must lie inside "
                                                           "(0, alpha_max): the extent of a Gaussian follows from it");
  static_assert(cut_width >= T(0) && alpha_cut + cut_width < alpha_max,
                "sqs::splat: raster_config::cut_width must not be negative nor reach alpha_max");
  static_assert(stop >= T(0) && stop < T(1), "sqs::splat: raster_config::stop must lie inside [0, 1)");
  static_assert(near > T(0), "sqs::splat: raster_config::near must be positive: depth keys are compared as bits");
  static_assert(far > near, "sqs::splat: raster_config::far must lie beyond near, or be 0 for none");
  static_assert(radius_clip >= T(0), "sqs::splat: raster_config::radius_clip must not be negative");
  static_assert(low_pass > T(0), "sqs::splat: raster_config::low_pass must be positive: it keeps the 2D covariance "
                                 "invertible");
  static_assert(
      std::size_t{channels} * tile * tile * sizeof(T) <= (std::size_t{1} << 20),
      "sqs::splat: raster_config::channels on tiles of this size would not fit a thread's stack; use a smaller "
      "raster_config::tile or render the channels in parts");
  static_assert(mip_floor > T(0) && mip_floor <= T(1), "sqs::splat: raster_config::mip_floor must lie inside (0, 1]");
};

} // namespace sqs::splat
