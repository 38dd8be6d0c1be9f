// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The differentiable rasterizer: project, bin and blend as one op.

#include <sqs/autodiff/result.hpp>
#include <sqs/splat/blend_backward.hpp>

#include <tuple>

namespace sqs::splat {

/// Renders G Gaussians into V cameras.
///
/// Shapes      means [G,3] m in ref; scales [G,3] m; rotations [G,4] (w,x,y,z) of any length; opacities [G] in (0,1);
///             colours [G,C] with C = Config.channels; background [V,C]; one camera size for all views
///             -> image [V,H,W,C], depth [V,H,W] (sum of weight times camera-frame z, not divided by opacity; m),
///             transmittance [V,H,W] (what is left for the background).
/// Gradient    all six tensors. Exact except at the cut: a footprint that grows adds pixels at alpha = alpha_cut, which
///             no rasterizer of this kind differentiates; a gradient check therefore needs a low `alpha_cut`.
/// Execution   parallel over Gaussians, views and tiles; bitwise the same for any thread count, forward and backward.
///             All memory comes from the executor's pool.
/// Errors      precondition_error for shapes that do not match (naming the tensor), an empty rig and views of different
///             sizes. Gaussians with NaN or Inf are drawn nowhere and counted in `saved.counts`.
/// Cost        O(V G) to project, O(I) to bin I tile intersections; 20 + 2C (forward) and 45 + 6C (backward) flop per
///             (pixel, Gaussian) pair.
/// Source      Kerbl et al. 2023; the front-to-back backward pass with one number per pixel follows gsplat 1.6.
template <raster_config Config = raster_config{}> struct rasterizer {
  template <class T> struct saved {
    scene<T> gaussians;
    camera_rig<T> rig;
    tensor<projected_gaussian<T>, 2> records;
    tile_bins bins;
    blended<T> out;
    raster_counts counts;
  };

  template <class T> auto forward(cpu& e, const tensor<T, 2>& means, const tensor<T, 2>& scales,
                                  const tensor<T, 2>& rotations, const tensor<T, 1>& opacities,
                                  const tensor<T, 2>& colours, const tensor<T, 2>& background,
                                  const camera_rig<T>& rig) const {
    constexpr idx channels = raster_constants<Config, T>::channels;
    check_rig(rig);
    expects(background.extent(0) == rig.size() && background.extent(1) == channels,
            "sqs::splat::rasterizer: background is [", background.extent(0), ", ", background.extent(1),
            "] but must be [", rig.size(), ", ", channels,
            "] (one colour per view); check the rig and Config.channels");
    saved<T> s{{means, scales, rotations, opacities, colours}, rig, {}, {}, {}, {}};
    auto projected = project<Config>(e, s.gaussians, rig);
    s.records = std::move(projected.records);
    s.counts = projected.counts;
    const int width = rig[0].camera.width, height = rig[0].camera.height;
    s.bins = bin<Config>(e, s.records, width, height);
    s.counts.intersections = s.bins.intersections();
    s.out = blend<Config>(e, s.records, s.bins, colours, background, width, height);
    auto value = std::tuple{s.out.image, s.out.depth, s.out.transmittance};
    return result{std::move(value), std::move(s)};
  }

  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 4>& d_image, const tensor<T, 3>& d_depth,
                                   const tensor<T, 3>& d_transmittance) const {
    expects(d_image.shape() == s.out.image.shape() && d_depth.shape() == s.out.depth.shape() &&
                d_transmittance.shape() == s.out.depth.shape(),
            "sqs::splat::rasterizer: the gradients of image, depth and transmittance must have the shapes of the "
            "outputs ([V, H, W, C], [V, H, W], [V, H, W]); V is ",
            s.out.depth.extent(0), ", H ", s.out.depth.extent(1), ", W ", s.out.depth.extent(2),
            ", d_image starts with ", d_image.extent(0), ", d_depth with ", d_depth.extent(0));
    auto d =
        blend_backward<Config>(e, s.records, s.bins, s.gaussians.colours, s.out, d_image, d_depth, d_transmittance);
    auto g = project_backward<Config>(e, s.gaussians, s.rig, s.records, d.records);
    return std::tuple{std::move(g.means),     std::move(g.scales),  std::move(g.rotations),
                      std::move(g.opacities), std::move(d.colours), std::move(d.background)};
  }
};

} // namespace sqs::splat
