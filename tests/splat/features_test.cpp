// SPDX-License-Identifier: Apache-2.0
// Culling, filtering, masks and the statistics of the rasterizer: against the oracle, by hand, and by differences.

#include "features.hpp"

#include "support/check.hpp"

namespace features_test {

using namespace features;
using splat::raster_config;
using sqs::test::message_of;

scenes::recipe medium(std::uint64_t seed) {
  return {.gaussians = 150, .height = 35, .width = 50, .most_opacity = 1.0, .seed = seed};
}

TEST(features, mip_equals_the_oracle) {
  auto r = medium(61);
  r.least_scale = 1e-4, r.most_scale = 0.1; // from far below the floor of the factor to wider than a pixel
  auto in = scenes::random(r);
  for (idx g = 0; g < 150; g += 3) { // needles: one axis vanishes
    in.s.scales(g, 0) = 1e-9, in.s.scales(g, 1) = 1e-9;
    in.s.opacities(g) = 1;
  }
  // A cut below the floor lets the faintest be drawn.
  expect_like_oracle<raster_config{.alpha_cut = {1, 1000}, .filter = splat::antialias::mip}>(
      in, {.alpha_cut = 1e-3, .mip = true});
}
TEST(features, mip_gradients) {
  expect_gradients<raster_config{.cut_width = {1, 5}, .stop = {0, 1}, .filter = splat::antialias::mip}>(
      scenes::random({.gaussians = 8,
                      .height = 11,
                      .width = 21,
                      .least_opacity = 0.3,
                      .least_scale = 0.02,
                      .most_scale = 0.3,
                      .seed = 62}),
      {.step = 3e-5}, 0.5);
}

TEST(features, far_equals_the_oracle) {
  expect_like_oracle<raster_config{.far = {6, 1}}>(scenes::random(medium(63)), {.far = 6});
}
TEST(features, radius_clip_equals_the_oracle) {
  auto r = medium(64);
  r.least_scale = 0.01;
  const auto in = scenes::random(r);
  constexpr raster_config config{.radius_clip = {25, 4}};
  splat::raster_options<double> options{.radii = make_tensor<double, 2>({2, 150})};
  expect_like_oracle<config>(in, {.radius_clip = 6.25}, options);
  for (const double radius : options.radii) { EXPECT_TRUE(radius == 0 || radius > 6.25) << radius; }
  cpu e{.threads = 1};
  const idx clipped = render<config>(e, in).saved.counts.visible;
  EXPECT_LT(clipped, render<raster_config{}>(e, in).saved.counts.visible); // it did leave some out
}
TEST(features, inclusive_rule_and_smooth_cut_equal_the_oracle) {
  const auto in = scenes::random(medium(65));
  expect_like_oracle<raster_config{.rule = splat::stop_rule::inclusive}>(in, {.exclusive = false});
  expect_like_oracle<raster_config{.cut_width = {1, 100}}>(in, {.cut_width = 0.01});
  expect_like_oracle<raster_config{.cut_width = {1, 10}, .rule = splat::stop_rule::inclusive}>(
      in, {.exclusive = false, .cut_width = 0.1});
}

/// A checkerboard of pixels with a hole of a whole tile and more.
splat::raster_mask holes(const camera_rig<double>& rig) {
  splat::raster_mask m{make_tensor<std::uint8_t, 1>({rig.pixel_count()}), {}};
  idx p = 0;
  for (const auto& view : rig) {
    for (int y = 0; y < view.camera.height; ++y) {
      for (int x = 0; x < view.camera.width; ++x, ++p) { m.pixels(p) = (x < 20 && y < 20) || (x + y) % 3 == 0 ? 0 : 1; }
    }
  }
  return m;
}
TEST(features, pixel_mask_equals_the_oracle) {
  const auto in = scenes::random(medium(66));
  const splat::raster_options<double> options{.mask = holes(in.rig)};
  const auto& pixels = options.mask.pixels;
  expect_like_oracle<raster_config{}>(in, {.mask = {pixels.begin(), pixels.end()}}, options);
  expect_like_oracle<raster_config{.rule = splat::stop_rule::inclusive}>(
      in, {.exclusive = false, .mask = {pixels.begin(), pixels.end()}}, options);
}

/// The pixels of `image` (all views) where the mask says `drawn`: equal bits; elsewhere the background.
void expect_masked(const tensor<double, 4>& image, const tensor<double, 4>& whole, const tensor<double, 2>& background,
                   const std::vector<bool>& drawn) {
  const idx c = image.extent(3), per_view = image.extent(1) * image.extent(2);
  for (idx p = 0; p < static_cast<idx>(drawn.size()); ++p) {
    for (idx k = 0; k < c; ++k) {
      ASSERT_EQ(image.data()[p * c + k],
                drawn[static_cast<std::size_t>(p)] ? whole.data()[p * c + k] : background(p / per_view, k));
    }
  }
}
/// The gradients of a masked call are those of the whole one with the gradients of what is hidden set to zero, but for
/// the background's, which shows where nothing is drawn.
void expect_masked_gradients(const scenes::inputs<double>& in, const splat::raster_options<double>& options,
                             const std::vector<bool>& drawn) {
  cpu e{.threads = 2};
  const splat::rasterizer<> op;
  const auto masked = render<raster_config{}>(e, in, options);
  const auto whole = render<raster_config{}>(e, in);
  expect_masked(std::get<0>(masked.value), std::get<0>(whole.value), in.background, drawn);
  auto d = some_gradient(e, whole.value);
  const auto g = op.backward(e, masked.saved, std::get<0>(d), std::get<1>(d), std::get<2>(d));
  double hidden_background = 0;
  for (idx p = 0; p < static_cast<idx>(drawn.size()); ++p) {
    if (drawn[static_cast<std::size_t>(p)]) { continue; }
    if (p < static_cast<idx>(drawn.size()) / 2) { hidden_background += std::get<0>(d).data()[3 * p]; }
    for (idx k = 0; k < 3; ++k) { std::get<0>(d).data()[3 * p + k] = 0; }
    std::get<1>(d).data()[p] = 0;
    std::get<2>(d).data()[p] = 0;
  }
  const auto expected = op.backward(e, whole.saved, std::get<0>(d), std::get<1>(d), std::get<2>(d));
  const auto near = [](const auto& a, const auto& b) {
    for (idx i = 0; i < a.size(); ++i) { ASSERT_NEAR(a.data()[i], b.data()[i], 1e-9); }
  };
  near(std::get<0>(g), std::get<0>(expected));
  near(std::get<1>(g), std::get<1>(expected));
  near(std::get<2>(g), std::get<2>(expected));
  near(std::get<3>(g), std::get<3>(expected));
  near(std::get<4>(g), std::get<4>(expected));
  EXPECT_NEAR(std::get<5>(g)(0, 0), std::get<5>(expected)(0, 0) + hidden_background, 1e-9);
}
TEST(features, pixel_mask_hides_values_and_gradients) {
  const auto in = scenes::random(medium(67));
  const splat::raster_options<double> options{.mask = holes(in.rig)};
  std::vector<bool> drawn;
  for (const auto m : options.mask.pixels) { drawn.push_back(m != 0); }
  expect_masked_gradients(in, options, drawn);
}
TEST(features, tile_mask_hides_values_and_gradients) {
  const auto in = scenes::random(medium(68));
  splat::raster_options<double> options{.mask = {{}, make_tensor<std::uint8_t, 1>({2 * 3 * 4}, std::uint8_t{1})}};
  for (const idx t : {0, 6, 11, 12, 17}) { options.mask.tiles(t) = 0; }
  std::vector<bool> drawn;
  for (idx v = 0; v < 2; ++v) {
    for (idx y = 0; y < 35; ++y) {
      for (idx x = 0; x < 50; ++x) { drawn.push_back(options.mask.tiles(v * 12 + y / 16 * 4 + x / 16) != 0); }
    }
  }
  expect_masked_gradients(in, options, drawn);
}
TEST(features, both_masks_must_let_draw) {
  const auto in = scenes::random(medium(69));
  splat::raster_options<double> options{.mask = holes(in.rig)};
  options.mask.tiles = make_tensor<std::uint8_t, 1>({24}, std::uint8_t{0});
  options.mask.tiles(23) = 1;
  std::vector<bool> drawn;
  for (idx p = 0; p < 2 * 35 * 50; ++p) {
    const idx y = p / 50 % 35, x = p % 50;
    drawn.push_back(p >= 35 * 50 && y >= 32 && x >= 48 && options.mask.pixels(p) != 0);
  }
  expect_masked_gradients(in, options, drawn);
}

// Pixels of the image plane in an orthographic camera: moving a Gaussian sideways moves its centre and nothing else, so
// differences give dL/d(centre) pixel by pixel.
TEST(features, centre_gradients_and_absgrad_are_sums_over_pixels) {
  constexpr raster_config config{.cut_width = {1, 5}, .stop = {0, 1}, .absgrad = true};
  auto in = scenes::random({.gaussians = 9, .height = 19, .width = 34, .seed = 70});
  in.rig = {};
  for (int i = 0; i < 2; ++i) { in.rig.add(camera_of(camera_model::orthographic, 19, 34), pose_of(2 * i)); }
  const idx n = in.s.count(), pixels = 2 * 19 * 34;
  splat::raster_options<double> options{.radii = make_tensor<double, 2>({2, n}),
                                        .centre_gradients = make_tensor<double, 3>({2, n, 2}),
                                        .centre_absgradients = make_tensor<double, 3>({2, n, 2})};
  cpu e{.threads = 2};
  const auto r = render<config>(e, in, options);
  const auto d = some_gradient(e, r.value);
  splat::rasterizer<config>{}.backward(e, r.saved, std::get<0>(d), std::get<1>(d), std::get<2>(d));
  const auto losses = [&] { // of each pixel
    const auto value = render<config>(e, in).value;
    std::vector<double> out(static_cast<std::size_t>(pixels));
    for (idx p = 0; p < pixels; ++p) {
      double sum = std::get<1>(d).data()[p] * std::get<1>(value).data()[p] +
                   std::get<2>(d).data()[p] * std::get<2>(value).data()[p];
      for (idx c = 0; c < 3; ++c) { sum += std::get<0>(d).data()[3 * p + c] * std::get<0>(value).data()[3 * p + c]; }
      out[static_cast<std::size_t>(p)] = sum;
    }
    return out;
  };
  double largest = 0;
  for (int v = 0; v < 2; ++v) {
    for (idx g = 0; g < n; ++g) {
      for (int axis = 0; axis < 2; ++axis) {
        const auto& view = in.rig[v];
        const double per_px = 1 / (axis == 0 ? view.camera.fx : view.camera.fy), h = 1e-4;
        const auto at = [&](double px) {
          const auto kept = persistent_copy<double>(in.s.means);
          for (int k = 0; k < 3; ++k) { in.s.means(g, k) += px * per_px * view.T_cam_ref.rotation(axis, k); }
          const auto out = losses();
          in.s.means = kept;
          return out;
        };
        const auto p1 = at(h), m1 = at(-h), p2 = at(2 * h), m2 = at(-2 * h);
        double sum = 0, absolute = 0;
        for (idx p = 0; p < pixels / 2; ++p) { // of this view
          const auto i = static_cast<std::size_t>(v * pixels / 2 + p);
          const double slope = (8 * (p1[i] - m1[i]) - (p2[i] - m2[i])) / (12 * h);
          sum += slope, absolute += std::abs(slope);
        }
        EXPECT_NEAR(options.centre_gradients(v, g, axis), sum, 1e-8 * (1 + absolute)) << v << " " << g << " " << axis;
        EXPECT_NEAR(options.centre_absgradients(v, g, axis), absolute, 1e-7 * (1 + absolute)) << v << " " << g;
        largest = std::max(largest, absolute);
      }
    }
  }
  EXPECT_GT(largest, 1);
}

TEST(features, radii_and_counts_say_what_was_drawn) {
  const auto in = scenes::random(medium(71));
  const idx n = in.s.count();
  splat::raster_counts counts;
  const splat::raster_options<double> options{.radii = make_tensor<double, 2>({2, n}, -1.0), .counts = &counts};
  cpu e{.threads = 2};
  const auto r = render<raster_config{}>(e, in, options);
  idx drawn = 0;
  for (const double radius : options.radii) {
    EXPECT_GE(radius, 0);
    drawn += radius > 0 ? 1 : 0;
  }
  EXPECT_EQ(drawn, counts.visible);
  EXPECT_EQ(counts.visible, r.saved.counts.visible);
  EXPECT_EQ(counts.intersections, r.saved.bins.intersections());
  EXPECT_EQ(counts.rejected, 0);
}

TEST(features, names_wrong_options) {
  const auto in = scenes::random({.seed = 72});
  cpu e{.threads = 1};
  const auto message = [&](const splat::raster_options<double>& options) {
    try {
      render<raster_config{}>(e, in, options);
    } catch (const precondition_error& error) { return std::string(error.what()); }
    return std::string("no error");
  };
  EXPECT_EQ(message({.radii = make_tensor<double, 2>({2, 11})}),
            "sqs::splat::rasterizer: option radii is [2, 11] but must be [2, 12], [V,G]; "
            "make it for this rig and these Gaussians");
  EXPECT_EQ(message({.mask = {make_tensor<std::uint8_t, 1>({17 * 33}), {}}}),
            "sqs::splat::rasterizer: option mask.pixels is [561] but must be [1122], [pixels of all "
            "views]; make it for this rig and these Gaussians");
  EXPECT_EQ(message({.centre_absgradients = make_tensor<double, 3>({2, 12, 2})}),
            "sqs::splat::rasterizer: option centre_absgradients is given but the configuration sums none; set "
            "raster_config::absgrad");
}

TEST(features, an_incoming_nan_is_passed_on_and_one_of_a_background_is_an_error) {
  auto in = scenes::random({.seed = 73});
  cpu e{.threads = 2};
  const splat::rasterizer<> op;
  const auto r = in.forward(op, e);
  auto d = full<double, 4>(e, std::get<0>(r.value).shape(), 1.0);
  const auto d_plane = zeros<double, 3>(e, std::get<1>(r.value).shape());
  const auto not_finite = [](const auto& x) {
    return std::count_if(x.begin(), x.end(), [](double v) { return !std::isfinite(v); });
  };
  EXPECT_EQ(not_finite(std::get<3>(op.backward(e, r.saved, d, d_plane, d_plane))), 0);
  d(0, 8, 16, 1) = std::nan("");
  EXPECT_GT(not_finite(std::get<3>(op.backward(e, r.saved, d, d_plane, d_plane))), 0);
  in.background(1, 2) = std::nan("");
  EXPECT_NE(message_of([&] { in.forward(op, e); }).find("background(1, 2) is "), std::string::npos);
}

// An optimiser moves the twelve numbers of a pose freely: the rasterizer takes what has drifted.
TEST(features, takes_poses_that_have_drifted) {
  const auto in = scenes::random({.seed = 74});
  cpu e{.threads = 1};
  auto poses = splat::camera_poses(e, in.rig);
  const auto intrinsics = splat::camera_intrinsics(e, in.rig);
  poses(0, 1) += 0.05;
  const auto& s = in.s;
  const auto render_with = [&](const tensor<double, 2>& p) {
    return splat::rasterizer<>{}.forward(e, s.means, s.scales, s.rotations, s.opacities, s.colours, in.background, p,
                                         intrinsics, in.rig);
  };
  EXPECT_TRUE(std::isfinite(std::get<0>(render_with(poses).value)(0, 5, 5, 0)));
  poses(1, 4) = std::nan("");
  EXPECT_NE(message_of([&] { render_with(poses); }).find("number 4 of view 1 is "), std::string::npos);
  se3<double> drifted = in.rig[1].T_cam_ref;
  drifted.rotation(0, 1) += 0.05;
  const auto back = orthonormalized(drifted);
  const auto unit = back.rotation * transposed(back.rotation);
  for (int i = 0; i < 9; ++i) { EXPECT_NEAR(unit.a[i], i % 4 == 0 ? 1 : 0, 1e-14); }
  EXPECT_NEAR(determinant(back.rotation), 1, 1e-14);
  EXPECT_NEAR(back.rotation(2, 2), in.rig[1].T_cam_ref.rotation(2, 2), 0.05);
}

} // namespace features_test
