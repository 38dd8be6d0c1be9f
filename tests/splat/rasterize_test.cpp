// SPDX-License-Identifier: Apache-2.0
// The rasterizer by hand: known pixels, edges of its domain, misuse, repeatability.

#include "../support/same_bits.hpp"
#include "scenes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace rasterize_test {

using namespace sqs;
using testing::HasSubstr;
using testing::ThrowsMessage;

const splat::rasterizer<> standard;

/// One camera of 33 x 33 pixels whose middle pixel's centre looks along +z.
camera_rig<float> straight(int size = 33) {
  camera_rig<float> rig;
  rig.add({100, 100, 0.5f * static_cast<float>(size), 0.5f * static_cast<float>(size), size, size}, {});
  return rig;
}
/// Gaussians on the optical axis at the given depths, opacity 0.5, coloured red, green, blue in turn.
scenes::inputs<float> on_axis(const std::vector<float>& depths, float opacity = 0.5f) {
  auto in = scenes::blank<float>(static_cast<idx>(depths.size()), 3, 1);
  for (idx g = 0; g < in.s.count(); ++g) {
    in.s.means(g, 2) = depths[static_cast<std::size_t>(g)];
    for (idx k = 0; k < 3; ++k) { in.s.scales(g, k) = 0.2f; }
    in.s.opacities(g) = opacity;
    in.s.colours(g, g % 3) = 1;
  }
  in.rig = straight();
  return in;
}
using sqs::test::same_bits;
template <class T, int R> bool finite(const tensor<T, R>& x) {
  return std::all_of(x.begin(), x.end(), [](T v) { return std::isfinite(v); });
}
/// Gradients for d_image = d_depth = d_transmittance = 1.
template <class Op, class Result> auto all_ones_backward(cpu& e, const Op& op, const Result& r) {
  const auto& [image, depth, t] = r.value;
  return op.backward(e, r.saved, full<float, 4>(e, image.shape(), 1.0f), full<float, 3>(e, depth.shape(), 1.0f),
                     full<float, 3>(e, t.shape(), 1.0f));
}

TEST(rasterizer, blends_two_gaussians_by_hand) {
  cpu e{.threads = 1};
  const auto r = on_axis({5, 10}).forward(standard, e);
  const auto& [image, depth, t] = r.value;
  EXPECT_FLOAT_EQ(image(0, 16, 16, 0), 0.5f);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 1), 0.25f);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 2), 0.0f);
  EXPECT_FLOAT_EQ(depth(0, 16, 16), 5.0f);
  EXPECT_FLOAT_EQ(t(0, 16, 16), 0.25f);
}

TEST(rasterizer, orders_by_depth_and_adds_the_background) {
  cpu e{.threads = 1};
  auto in = on_axis({10, 5});
  in.background(0, 2) = 1;
  const auto r = in.forward(standard, e);
  const auto& image = std::get<0>(r.value);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 0), 0.25f);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 1), 0.5f);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 2), 0.25f);
}

TEST(rasterizer, orders_equal_depths_by_index) {
  cpu e{.threads = 1};
  const auto r = on_axis({5, 5, 5}).forward(standard, e);
  const auto& image = std::get<0>(r.value);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 0), 0.5f);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 1), 0.25f);
  EXPECT_FLOAT_EQ(image(0, 16, 16, 2), 0.125f);
}

TEST(rasterizer, caps_alpha_and_passes_no_gradient_beyond_the_cap) {
  cpu e{.threads = 1};
  auto in = on_axis({5}, 1.0f);
  in.rig = {{{100, 100, 0.5f, 0.5f, 1, 1}, se3<float>{}}}; // the only pixel sits on the centre
  const auto r = in.forward(standard, e);
  EXPECT_FLOAT_EQ(std::get<0>(r.value)(0, 0, 0, 0), 0.99f);
  const auto g = all_ones_backward(e, standard, r);
  EXPECT_EQ(std::get<3>(g)(0), 0.0f);              // opacity
  EXPECT_FLOAT_EQ(std::get<4>(g)(0, 0), 0.99f);    // colour
  EXPECT_NEAR(std::get<5>(g)(0, 0), 0.01f, 1e-7f); // background
}

TEST(rasterizer, stops_exclusively_or_inclusively) {
  cpu e{.threads = 1};
  // T after one Gaussian of alpha 0.99 is 0.01, after two 0.0001 <= stop.
  const auto in = on_axis({5, 6, 7}, 1.0f);
  const auto exclusive = in.forward(standard, e);
  EXPECT_FLOAT_EQ(std::get<0>(exclusive.value)(0, 16, 16, 0), 0.99f);
  EXPECT_EQ(std::get<0>(exclusive.value)(0, 16, 16, 1), 0.0f);
  EXPECT_NEAR(std::get<2>(exclusive.value)(0, 16, 16), 0.01f, 1e-8f);
  constexpr splat::raster_config config{.rule = splat::stop_rule::inclusive};
  const auto inclusive = in.forward(splat::rasterizer<config>{}, e);
  EXPECT_NEAR(std::get<0>(inclusive.value)(0, 16, 16, 1), 0.0099f, 1e-7f);
  EXPECT_EQ(std::get<0>(inclusive.value)(0, 16, 16, 2), 0.0f);
  EXPECT_NEAR(std::get<2>(inclusive.value)(0, 16, 16), 1e-4f, 1e-9f);
}

// A needle along x, turned by 30 degrees about the optical axis: with y down, R(q) x = (cos, sin) points down-right.
TEST(rasterizer, turns_a_needle_by_the_convention_of_the_configuration) {
  cpu e{.threads = 1};
  auto in = on_axis({5}, 0.9f);
  in.s.scales(0, 0) = 0.4f;
  in.s.scales(0, 1) = in.s.scales(0, 2) = 0.01f;
  in.s.rotations(0, 0) = static_cast<float>(std::cos(std::acos(-1.0) / 12));
  in.s.rotations(0, 3) = static_cast<float>(std::sin(std::acos(-1.0) / 12));
  const auto standard_image = std::get<0>(in.forward(standard, e).value);
  constexpr splat::raster_config transposed{.convention = covariance_convention::rt_s2_r};
  const auto transposed_image = std::get<0>(in.forward(splat::rasterizer<transposed>{}, e).value);
  // 10 px to the right, 10 tan(30 deg) = 5.8 px down or up.
  EXPECT_GT(standard_image(0, 22, 26, 0), 0.1f);
  EXPECT_EQ(standard_image(0, 10, 26, 0), 0.0f);
  EXPECT_GT(transposed_image(0, 10, 26, 0), 0.1f);
  EXPECT_EQ(transposed_image(0, 22, 26, 0), 0.0f);
}

TEST(rasterizer, renders_the_mirrored_image_for_the_flipped_camera) {
  cpu e{.threads = 2};
  auto in = scenes::in_scalar<float>(scenes::random({.gaussians = 60, .height = 20, .width = 40, .seed = 21}));
  const auto r = in.forward(standard, e);
  camera_rig<float> flipped;
  for (const auto& v : in.rig) {
    flipped.add(transformed(v.camera, image_transform<float>{.ax = -1, .bx = 40}, 40, 20), v.T_cam_ref);
  }
  in.rig = flipped;
  const auto f = in.forward(standard, e);
  double worst = 0;
  for (idx v = 0; v < 2; ++v) {
    for (idx y = 0; y < 20; ++y) {
      for (idx x = 0; x < 40; ++x) {
        for (idx c = 0; c < 3; ++c) {
          worst = std::max(worst, std::abs(static_cast<double>(std::get<0>(r.value)(v, y, x, c)) -
                                           static_cast<double>(std::get<0>(f.value)(v, y, 39 - x, c))));
        }
      }
    }
  }
  EXPECT_LE(worst, 0.005); // a pixel at the alpha cut may flip: one alpha of 1/255 times a colour
}

TEST(rasterizer, is_bitwise_the_same_for_any_thread_count_and_repeat) {
  const auto in = scenes::in_scalar<float>(scenes::random({.gaussians = 500, .height = 70, .width = 130, .seed = 22}));
  cpu one{.threads = 1};
  const auto expected = in.forward(standard, one);
  const auto expected_gradients = all_ones_backward(one, standard, expected);
  for (const int threads : {1, 2, 3, 4, 8}) {
    cpu e{.threads = threads};
    const auto r = in.forward(standard, e);
    EXPECT_TRUE(same_bits(std::get<0>(r.value), std::get<0>(expected.value)));
    EXPECT_TRUE(same_bits(std::get<1>(r.value), std::get<1>(expected.value)));
    EXPECT_TRUE(same_bits(std::get<2>(r.value), std::get<2>(expected.value)));
    const auto g = all_ones_backward(e, standard, r);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      const bool same[] = {same_bits(std::get<I>(g), std::get<I>(expected_gradients))...};
      for (const bool s : same) { EXPECT_TRUE(s) << threads << " threads"; }
    }
    (std::make_index_sequence<6>{});
  }
}

TEST(rasterizer, takes_no_new_memory_on_repeat) {
  const auto in = scenes::in_scalar<float>(scenes::random({.gaussians = 300, .height = 64, .width = 96, .seed = 23}));
  cpu e{.threads = 2};
  const auto step = [&] {
    const auto r = in.forward(standard, e);
    all_ones_backward(e, standard, r);
  };
  step();
  const auto before = e.memory().statistics();
  step();
  step();
  EXPECT_EQ(e.memory().statistics().takes, before.takes);
  EXPECT_EQ(e.memory().statistics().slabs, before.slabs);
  EXPECT_EQ(e.memory().statistics().live, before.live);
}

TEST(rasterizer, shows_the_background_when_nothing_is_drawn) {
  cpu e{.threads = 2};
  for (const idx n : {0, 3}) {
    auto in = scenes::blank<float>(n, 3, 1); // 3 Gaussians behind the camera, or none
    for (idx g = 0; g < n; ++g) {
      in.s.means(g, 2) = -5;
      in.s.opacities(g) = 0.5f;
    }
    in.background(0, 1) = 0.25f;
    in.rig = straight();
    const auto r = in.forward(standard, e);
    EXPECT_EQ(r.saved.counts.visible, 0);
    EXPECT_EQ(r.saved.counts.rejected, 0);
    for (idx y = 0; y < 33; ++y) {
      for (idx x = 0; x < 33; ++x) { ASSERT_EQ(std::get<0>(r.value)(0, y, x, 1), 0.25f); }
    }
    const auto g = all_ones_backward(e, standard, r);
    EXPECT_FLOAT_EQ(std::get<5>(g)(0, 0), 33.0f * 33.0f);
    for (const float v : std::get<0>(g)) { EXPECT_EQ(v, 0.0f); }
  }
}

TEST(rasterizer, culls_at_the_near_plane) {
  cpu e{.threads = 1};
  EXPECT_EQ(on_axis({0.2f}).forward(standard, e).saved.counts.visible, 0); // z must exceed near
  EXPECT_EQ(on_axis({std::nextafter(0.2f, 1.0f)}).forward(standard, e).saved.counts.visible, 1);
  EXPECT_EQ(on_axis({0.0f, -1.0f}).forward(standard, e).saved.counts.visible, 0);
}

TEST(rasterizer, draws_opacities_from_the_cut_on) {
  cpu e{.threads = 1};
  EXPECT_EQ(on_axis({5}, 0.0f).forward(standard, e).saved.counts.visible, 0);
  EXPECT_EQ(on_axis({5}, 0.0039f).forward(standard, e).saved.counts.visible, 0);
  EXPECT_EQ(on_axis({5}, 1.0f / 255).forward(standard, e).saved.counts.visible, 1);
  EXPECT_EQ(on_axis({5}, 1.0f).forward(standard, e).saved.counts.visible, 1);
}

TEST(rasterizer, rejects_and_counts_numbers_that_are_not_finite) {
  cpu e{.threads = 2};
  const auto clean = on_axis({5, 10});
  const auto expected = clean.forward(standard, e);
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()};
  for (const float value : bad) {
    for (int which = 0; which < 5; ++which) {
      auto in = on_axis({5, 10, 7});
      in.s.colours(2, 2) = 1;
      (which == 0   ? in.s.means(2, 0)
       : which == 1 ? in.s.scales(2, 1)
       : which == 2 ? in.s.rotations(2, 3)
       : which == 3 ? in.s.opacities(2)
                    : in.s.colours(2, 0)) = value;
      const auto r = in.forward(standard, e);
      EXPECT_EQ(r.saved.counts.rejected, 1);
      EXPECT_EQ(r.saved.counts.visible, 2);
      EXPECT_TRUE(same_bits(std::get<0>(r.value), std::get<0>(expected.value)));
      EXPECT_TRUE(same_bits(std::get<1>(r.value), std::get<1>(expected.value)));
      const auto g = all_ones_backward(e, standard, r);
      EXPECT_TRUE(finite(std::get<0>(g)) && finite(std::get<1>(g)) && finite(std::get<2>(g)) &&
                  finite(std::get<3>(g)) && finite(std::get<4>(g)) && finite(std::get<5>(g)));
      EXPECT_EQ(std::get<4>(g)(2, 0), 0.0f);
    }
  }
}

TEST(rasterizer, stays_finite_for_extreme_shapes) {
  cpu e{.threads = 2};
  for (const float small : {1e-8f, 1e-3f, 1.0f, 1e4f}) {
    for (const float large : {1e-8f, 1.0f, 1e4f}) {
      for (const float opacity : {1.0f / 255, 0.5f, 1.0f}) {
        for (const bool zero_quaternion : {false, true}) {
          auto in = scenes::in_scalar<float>(scenes::random({.gaussians = 30, .seed = 24}));
          for (idx g = 0; g < 30; ++g) {
            in.s.scales(g, 0) = large;
            in.s.scales(g, 1) = in.s.scales(g, 2) = small;
            in.s.opacities(g) = opacity;
            if (zero_quaternion) { std::fill_n(&in.s.rotations(g, 0), 4, 0.0f); }
          }
          const auto r = in.forward(standard, e);
          EXPECT_EQ(r.saved.counts.rejected, 0);
          EXPECT_TRUE(finite(std::get<0>(r.value)) && finite(std::get<1>(r.value)) && finite(std::get<2>(r.value)));
          const auto g = all_ones_backward(e, standard, r);
          EXPECT_TRUE(finite(std::get<0>(g)) && finite(std::get<1>(g)) && finite(std::get<2>(g)) &&
                      finite(std::get<3>(g)) && finite(std::get<4>(g)) && finite(std::get<5>(g)))
              << small << " " << large << " " << opacity << " " << zero_quaternion;
        }
      }
    }
  }
}

TEST(rasterizer, treats_a_zero_quaternion_as_no_rotation) {
  cpu e{.threads = 1};
  auto in = on_axis({5});
  in.s.scales(0, 0) = 0.5f;
  const auto expected = in.forward(standard, e);
  in.s.rotations(0, 0) = 0;
  EXPECT_TRUE(same_bits(std::get<0>(in.forward(standard, e).value), std::get<0>(expected.value)));
}

TEST(rasterizer, renders_a_single_pixel_and_sizes_around_a_tile) {
  cpu e{.threads = 2};
  for (const int size : {1, 15, 16, 17, 31, 33}) {
    auto in = on_axis({5, 10});
    in.rig = straight(size);
    const auto r = in.forward(standard, e);
    // Independent of the size: the same distance from the centre has the same value.
    const idx mid = size / 2;
    const float off = size % 2 == 1 ? 0.0f : 0.5f;
    const float sigma2 = 16.3f, alpha = 0.5f * std::exp(-(off * off + off * off) / (2 * sigma2));
    EXPECT_NEAR(std::get<0>(r.value)(0, mid, mid, 0), alpha, 1e-6f) << size;
  }
}

TEST(rasterizer, names_every_wrong_shape) {
  cpu e{.threads = 1};
  const auto message = [&](auto change) {
    auto in = on_axis({5, 10});
    change(in);
    try {
      in.forward(standard, e);
    } catch (const precondition_error& error) { return std::string(error.what()); }
    return std::string("no error");
  };
  EXPECT_EQ(
      message([](auto& in) {
        in.s.scales = make_tensor<float, 2>({2, 2});
      }),
      "sqs::splat::rasterizer: scales is [2, 2] but must be [2, 3] (one row per mean); check the head that makes it");
  EXPECT_THAT(message([](auto& in) { in.s.means = make_tensor<float, 2>({2, 4}); }), HasSubstr("means is [2, 4]"));
  EXPECT_THAT(message([](auto& in) {
                in.s.rotations = make_tensor<float, 2>({3, 4});
              }),
              HasSubstr("rotations is [3, 4]"));
  EXPECT_THAT(message([](auto& in) {
                in.s.colours = make_tensor<float, 2>({2, 4});
              }),
              HasSubstr("colours is [2, 4] but must be [2, 3]"));
  EXPECT_EQ(message([](auto& in) { in.s.opacities = make_tensor<float, 1>({3}); }),
            "sqs::splat::rasterizer: opacities is [3] but must be [2] (one per mean); reshape [G,1] to [G]");
  EXPECT_EQ(message([](auto& in) {
              in.background = make_tensor<float, 2>({2, 3});
            }),
            "sqs::splat::rasterizer: background is [2, 3] but must be [1, 3] (one colour per view); check the rig and "
            "Config.channels");
  EXPECT_EQ(message([](auto& in) { in.rig = {}; }),
            "sqs::splat::rasterizer: the camera rig has no view; add at least one camera");
  EXPECT_EQ(
      message([](auto& in) {
        in.rig.add({100, 100, 5, 5, 10, 20}, {});
        in.background = make_tensor<float, 2>({2, 3});
      }),
      "sqs::splat::rasterizer: view 1 is 20 x 10 pixels but view 0 is 33 x 33; render views of different sizes with "
      "raster_config::layout = image_layout::jagged");
}

TEST(rasterizer, names_wrong_gradient_shapes) {
  cpu e{.threads = 1};
  const auto r = on_axis({5}).forward(standard, e);
  EXPECT_THAT(([&] {
                standard.backward(e, r.saved, zeros<float, 4>(e, {1, 33, 32, 3}), zeros<float, 3>(e, {1, 33, 33}),
                                  zeros<float, 3>(e, {1, 33, 33}));
              }),
              ThrowsMessage<precondition_error>(HasSubstr("give them the shapes of the outputs")));
}

TEST(camera_rig, names_its_limits) {
  camera_rig<float> rig;
  for (int i = 0; i < camera_rig<float>::capacity; ++i) { rig.add({1, 1, 0, 0, 2, 2}, {}); }
  EXPECT_THAT(
      [&] {
        rig.add({1, 1, 0, 0, 2, 2}, {});
      },
      ThrowsMessage<precondition_error>(
          "sqs::camera_rig: view 16 does not fit; a rig holds 16 cameras: use several rigs"));
  camera_rig<float> bad;
  EXPECT_THAT(
      [&] {
        bad.add({0, 1, 0, 0, 2, 2}, {});
      },
      ThrowsMessage<precondition_error>(HasSubstr("camera 0 of the rig has singular intrinsics")));
  EXPECT_EQ(bad.size(), 0);
}

} // namespace rasterize_test
