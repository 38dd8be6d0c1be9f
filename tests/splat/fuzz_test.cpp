// SPDX-License-Identifier: Apache-2.0
// The rasterizer with what optimisers, files and users hand it on a bad day, through the public header alone: outputs and
// gradients stay finite, what is not drawn changes nothing, the counts say what happened.

#include "../support/same_bits.hpp"

#include <sqs/core/random.hpp>
#include <sqs/splat.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace fuzz_test {

using namespace sqs;

const splat::rasterizer<> rasterizer;
constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
constexpr float near = 0.2f, cut = 1.0f / 255;

struct gaussian {
  float mean[3] = {0, 0, 5}, scale[3] = {0.2f, 0.2f, 0.2f}, rotation[4] = {1, 0, 0, 0}, opacity = 0.5f,
        colour[3] = {1, 0.5f, 0.25f};
};

/// Two cameras that look along +z, one of them shifted, with odd image sizes.
camera_rig<float> two_cameras(int width = 53, int height = 37) {
  camera_rig<float> rig;
  const auto w = static_cast<float>(width), h = static_cast<float>(height);
  rig.add({0.8f * w, 0.8f * w, 0.5f * w, 0.5f * h, width, height}, {});
  rig.add({-0.7f * w, 0.9f * w, 0.4f * w, 0.6f * h, width, height}, {mat3<float>::identity(), {0.3f, -0.2f, 0.1f}});
  return rig;
}

/// 100 ordinary Gaussians before the cameras: more than a register and no multiple of one.
std::vector<gaussian> ordinary(idx count = 100) {
  std::vector<gaussian> all(static_cast<std::size_t>(count));
  const auto draw = random_stream::of(20261121, 5);
  idx i = 0;
  const auto next = [&](double low, double high) { return static_cast<float>(draw.uniform(i++, low, high)); };
  for (auto& g : all) {
    g.mean[2] = next(2, 9);
    g.mean[0] = next(-0.6, 0.6) * g.mean[2], g.mean[1] = next(-0.4, 0.4) * g.mean[2];
    for (float& s : g.scale) { s = next(0.05, 0.4); }
    for (float& q : g.rotation) { q = next(-1, 1); }
    g.opacity = next(0.05, 1);
    for (float& c : g.colour) { c = next(0, 1); }
  }
  return all;
}
std::vector<gaussian> with(std::vector<gaussian> all, const gaussian& g, std::size_t at) {
  all.insert(all.begin() + static_cast<std::ptrdiff_t>(at), g);
  return all;
}

/// Outputs and gradients of one forward and backward pass, for a gradient of the outputs that is never zero.
struct rendering {
  std::vector<float> image, depth, transmittance;
  std::vector<float> d_means, d_scales, d_rotations, d_opacities, d_colours, d_background;
  idx rejected = 0, degenerate = 0, visible = 0;

  std::vector<const std::vector<float>*> everything() const {
    return {&image, &depth, &transmittance, &d_means, &d_scales, &d_rotations, &d_opacities, &d_colours, &d_background};
  }
};
template <class T, int R> std::vector<T> listed(const tensor<T, R>& t) { return {t.begin(), t.end()}; }
template <class Tensor> Tensor gradient_like(const Tensor& t, int stream) {
  auto d = make_tensor<float, Tensor::rank>(t.shape());
  const auto draw = random_stream::of(9, stream);
  for (idx i = 0; i < d.size(); ++i) { d.data()[i] = static_cast<float>(draw.uniform(i, -1, 1)); }
  return d;
}
rendering render(const std::vector<gaussian>& all, const camera_rig<float>& rig, int threads = 1) {
  const auto n = static_cast<idx>(all.size());
  splat::scene<float> s{make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 4}),
                        make_tensor<float, 1>({n}), make_tensor<float, 2>({n, 3})};
  for (idx g = 0; g < n; ++g) {
    const auto& from = all[static_cast<std::size_t>(g)];
    for (idx k = 0; k < 3; ++k) {
      s.means(g, k) = from.mean[k], s.scales(g, k) = from.scale[k], s.colours(g, k) = from.colour[k];
    }
    for (idx k = 0; k < 4; ++k) { s.rotations(g, k) = from.rotation[k]; }
    s.opacities(g) = from.opacity;
  }
  auto background = make_tensor<float, 2>({rig.size(), 3});
  for (idx i = 0; i < background.size(); ++i) { background.data()[i] = 0.125f * static_cast<float>(i + 1); }
  cpu e{.threads = threads};
  const auto r = rasterizer.forward(e, s.means, s.scales, s.rotations, s.opacities, s.colours, background, rig);
  const auto& [image, depth, t] = r.value;
  const auto g = rasterizer.backward(e, r.saved, gradient_like(image, 1), gradient_like(depth, 2), gradient_like(t, 3));
  return {listed(image),
          listed(depth),
          listed(t),
          listed(std::get<0>(g)),
          listed(std::get<1>(g)),
          listed(std::get<2>(g)),
          listed(std::get<3>(g)),
          listed(std::get<4>(g)),
          listed(std::get<5>(g)),
          r.saved.counts.rejected,
          r.saved.counts.degenerate,
          r.saved.counts.visible};
}

bool finite(const rendering& r) {
  for (const auto* x : r.everything()) {
    if (!std::all_of(x->begin(), x->end(), [](float v) { return std::isfinite(v); })) { return false; }
  }
  return true;
}
using sqs::test::same_bits;
bool same_bits(const rendering& a, const rendering& b) {
  const auto x = a.everything(), y = b.everything();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!same_bits(*x[i], *y[i])) { return false; }
  }
  return true;
}
/// The rows of Gaussian `at` in the gradients, and the rest.
std::vector<float> row_of(const rendering& r, std::size_t at) {
  std::vector<float> row;
  const auto take = [&](const std::vector<float>& d, std::size_t columns) {
    for (std::size_t c = 0; c < columns; ++c) { row.push_back(d[at * columns + c]); }
  };
  take(r.d_means, 3), take(r.d_scales, 3), take(r.d_rotations, 4), take(r.d_opacities, 1), take(r.d_colours, 3);
  return row;
}
rendering without_row(rendering r, std::size_t at) {
  const auto drop = [&](std::vector<float>& d, std::size_t columns) {
    const auto first = d.begin() + static_cast<std::ptrdiff_t>(at * columns);
    d.erase(first, first + static_cast<std::ptrdiff_t>(columns));
  };
  drop(r.d_means, 3), drop(r.d_scales, 3), drop(r.d_rotations, 4), drop(r.d_opacities, 1), drop(r.d_colours, 3);
  return r;
}

/// Whether a Gaussian among ordinary ones changes not a bit of the outputs, nor of the others' gradients, and has none.
void expect_not_drawn(const gaussian& g, const std::string& what) {
  const auto rig = two_cameras();
  static const rendering expected = render(ordinary(), two_cameras());
  for (const std::size_t at : {std::size_t{0}, std::size_t{37}, ordinary().size()}) {
    const auto r = render(with(ordinary(), g, at), rig);
    EXPECT_TRUE(same_bits(without_row(r, at), expected)) << what << " at " << at;
    for (const float d : row_of(r, at)) { EXPECT_EQ(d, 0.0f) << what << " at " << at; }
    EXPECT_EQ(r.visible, expected.visible) << what;
  }
}

TEST(splat_fuzz, nan_and_infinity_are_rejected_and_counted) {
  for (const float bad : {nan, infinity, -infinity}) {
    for (int field = 0; field < 14; ++field) {
      gaussian g;
      float* const parts[] = {g.mean, g.scale, g.rotation, &g.opacity, g.colour};
      const int sizes[] = {3, 3, 4, 1, 3};
      int part = 0, column = field;
      while (column >= sizes[part]) { column -= sizes[part++]; }
      parts[part][column] = bad;
      expect_not_drawn(g, concat(bad, " in part ", part, " column ", column));
      EXPECT_EQ(render(with(ordinary(), g, 50), two_cameras()).rejected, 1);
    }
  }
  auto all = ordinary();
  for (std::size_t i = 0; i < all.size(); i += 3) { all[i].mean[i % 3] = nan; }
  const auto r = render(all, two_cameras());
  EXPECT_EQ(r.rejected, 34);
  EXPECT_TRUE(finite(r));
}

TEST(splat_fuzz, what_no_camera_sees_changes_nothing) {
  gaussian g;
  g.opacity = 0;
  expect_not_drawn(g, "opacity 0");
  for (const float opacity : {std::nextafter(cut, 0.0f), -0.0f, -1.0f, -1e38f}) {
    g.opacity = opacity;
    expect_not_drawn(g, concat("opacity ", opacity));
  }
  g = {};
  // At the near plane of both cameras or before it: the second camera stands 0.1 m further back.
  for (const float z : {near - 0.1f, 0.0f, -0.0f, -5.0f, -1e30f}) {
    g.mean[2] = z;
    expect_not_drawn(g, concat("z ", z));
  }
  for (const float far : {1e6f, 1e20f, 1e38f, -1e38f}) {
    g = {};
    g.mean[0] = far;
    expect_not_drawn(g, concat("x ", far));
    g.mean[1] = -far;
    expect_not_drawn(g, concat("x and y ", far));
    g.mean[2] = std::abs(far) * 1e-6f;
    expect_not_drawn(g, concat("x, y and z ", far));
  }
}

TEST(splat_fuzz, the_near_plane_is_not_drawn_and_the_next_number_is) {
  camera_rig<float> rig;
  rig.add({50, 50, 16.5f, 16.5f, 33, 33}, {});
  gaussian g;
  g.mean[2] = near;
  EXPECT_EQ(render({g}, rig).visible, 0);
  g.mean[2] = std::nextafter(near, 1.0f);
  for (const float scale : {1e-8f, 1e-3f, 0.1f, 1e4f}) {
    std::fill_n(g.scale, 3, scale);
    const auto r = render({g}, rig);
    EXPECT_EQ(r.visible, 1) << scale;
    EXPECT_TRUE(finite(r)) << scale;
  }
}

TEST(splat_fuzz, opacity_at_the_cut_and_one) {
  camera_rig<float> rig;
  rig.add({50, 50, 16.5f, 16.5f, 33, 33}, {});
  gaussian g;
  g.opacity = cut;
  auto r = render({g}, rig);
  EXPECT_TRUE(r.visible == 1 && finite(r));
  g.opacity = 1;
  r = render({g}, rig);
  EXPECT_TRUE(r.visible == 1 && finite(r));
  EXPECT_NEAR(r.transmittance[33 * 16 + 16], 0.01f, 1e-6f); // capped
  // A wall of opaque Gaussians: T stops above 1e-4 and what lies behind has no gradient.
  std::vector<gaussian> wall(200, g);
  for (std::size_t i = 0; i < wall.size(); ++i) { wall[i].mean[2] = 2 + 0.01f * static_cast<float>(i); }
  for (auto& w : wall) { std::fill_n(w.scale, 3, 10.0f); }
  r = render(wall, rig);
  EXPECT_TRUE(finite(r));
  for (const float t : r.transmittance) { EXPECT_GT(t, 1e-4f); }
  for (const float d : row_of(r, 150)) { EXPECT_EQ(d, 0.0f); }
}

TEST(splat_fuzz, sizes_from_nothing_to_everything) {
  const float sizes[] = {0, 1e-30f, 1e-8f, 1e-5f, 1e-2f, 1, 1e2f, 1e4f};
  for (const float a : sizes) {
    for (const float b : sizes) {
      for (const float c : sizes) {
        gaussian g;
        g.scale[0] = a, g.scale[1] = b, g.scale[2] = c;
        const float turn[4] = {0.3f, -0.8f, 0.4f, 0.2f};
        std::copy_n(turn, 4, g.rotation);
        const auto r = render(with(ordinary(20), g, 7), two_cameras(33, 17));
        EXPECT_TRUE(finite(r)) << a << " " << b << " " << c;
        EXPECT_EQ(r.rejected, 0);
        for (const float t : r.transmittance) { EXPECT_TRUE(t > 0 && t <= 1) << a << " " << b << " " << c; }
      }
    }
  }
}

TEST(splat_fuzz, sizes_beyond_the_range_of_numbers_leave_the_others_alone) {
  for (const float huge : {1e15f, 1e19f, 1e25f, 3e38f}) {
    gaussian g;
    std::fill_n(g.scale, 3, huge);
    const auto r = render(with(ordinary(), g, 37), two_cameras());
    EXPECT_TRUE(finite(r)) << huge;
    if (huge > 1e18f) { // squares overflow: neither drawn nor silent
      EXPECT_EQ(r.degenerate, 2) << huge;
      expect_not_drawn(g, concat("scale ", huge));
    }
  }
}

// Long and thin, in any direction, near and far.
TEST(splat_fuzz, needles) {
  const auto draw = random_stream::of(20261121, 6);
  std::vector<gaussian> needles(300);
  for (std::size_t i = 0; i < needles.size(); ++i) {
    auto& g = needles[i];
    idx k = static_cast<idx>(i) * 32;
    const auto next = [&](double low, double high) { return static_cast<float>(draw.uniform(k++, low, high)); };
    g.mean[2] = next(0.3, 30);
    g.mean[0] = next(-0.8, 0.8) * g.mean[2], g.mean[1] = next(-0.8, 0.8) * g.mean[2];
    std::fill_n(g.scale, 3, std::exp(next(std::log(1e-8), std::log(1e-3))));
    g.scale[i % 3] = std::exp(next(std::log(1e-1), std::log(1e4)));
    if (i % 5 == 0) { g.scale[(i + 1) % 3] = g.scale[i % 3]; } // a sheet
    for (float& q : g.rotation) { q = next(-1, 1); }
    g.opacity = next(0, 1);
    const auto alone = render({g}, two_cameras());
    EXPECT_TRUE(finite(alone)) << i;
    for (const float t : alone.transmittance) { EXPECT_TRUE(t >= 0.0099f && t <= 1) << i << " " << t; }
  }
  const auto together = render(needles, two_cameras());
  EXPECT_TRUE(finite(together) && together.rejected == 0);
}

TEST(splat_fuzz, rotations_of_any_length_and_none) {
  const auto rig = two_cameras();
  auto turned = ordinary(1).front();
  std::fill_n(turned.scale, 2, 0.4f);
  const auto expected = render({turned}, rig);
  for (const float length : {1e-6f, 1e-3f, 1e3f, 1e8f}) {
    auto g = turned;
    std::for_each(g.rotation, g.rotation + 4, [&](float& q) { q *= length; });
    const auto r = render({g}, rig);
    EXPECT_TRUE(finite(r)) << length;
    for (std::size_t i = 0; i < r.image.size(); ++i) { ASSERT_NEAR(r.image[i], expected.image[i], 0.005f) << length; }
  }
  gaussian none;
  std::fill_n(none.rotation, 4, 0.0f);
  none.scale[0] = 0.5f;
  const auto r = render({none}, rig);
  EXPECT_TRUE(finite(r));
  EXPECT_GT(r.visible, 0);
  none.rotation[0] = 1;
  EXPECT_TRUE(same_bits(r.image, render({none}, rig).image)); // no rotation
}

TEST(splat_fuzz, one_pixel) {
  camera_rig<float> rig;
  rig.add({50, 50, 0.5f, 0.5f, 1, 1}, {});
  const auto r = render({gaussian{}}, rig);
  ASSERT_EQ(r.image.size(), 3u);
  // The pixel's centre is the Gaussian's: half of the colour, half of the background.
  EXPECT_FLOAT_EQ(r.image[0], 0.5f + 0.5f * 0.125f);
  EXPECT_FLOAT_EQ(r.image[1], 0.25f + 0.5f * 0.25f);
  EXPECT_FLOAT_EQ(r.depth[0], 2.5f);
  EXPECT_FLOAT_EQ(r.transmittance[0], 0.5f);
  EXPECT_TRUE(finite(r));
  EXPECT_TRUE(finite(render(ordinary(), rig)));
}

TEST(splat_fuzz, nothing_to_draw) {
  auto behind = ordinary();
  for (auto& g : behind) { g.mean[2] = -g.mean[2]; }
  for (const auto& all : {std::vector<gaussian>{}, behind}) {
    const auto r = render(all, two_cameras());
    EXPECT_EQ(r.visible + r.rejected + r.degenerate, 0);
    EXPECT_TRUE(finite(r));
    for (std::size_t i = 0; i < r.image.size(); ++i) {
      ASSERT_EQ(r.image[i], 0.125f * static_cast<float>(3 * (i / (r.image.size() / 2)) + i % 3 + 1));
    }
    for (const float t : r.transmittance) { ASSERT_EQ(t, 1.0f); }
    for (const float z : r.depth) { ASSERT_EQ(z, 0.0f); }
    EXPECT_EQ(r.d_means.size(), 3 * all.size());
    for (const float d : r.d_means) { ASSERT_EQ(d, 0.0f); }
    for (const float d : r.d_colours) { ASSERT_EQ(d, 0.0f); }
    for (const float d : r.d_background) { EXPECT_NE(d, 0.0f); }
  }
}

/// Anything up to `far` m away and `large` m long, some of it not finite, some opacities outside [0, 1]. Quaternions are
/// 0 or at least 1e-6 long, because their gradient grows as one over their length.
std::vector<gaussian> anything(idx count, int seed, double far, double large) {
  std::vector<gaussian> all(static_cast<std::size_t>(count));
  const auto draw = random_stream::of(20261121, 7, seed);
  idx i = 0;
  const auto next = [&](double low, double high) { return static_cast<float>(draw.uniform(i++, low, high)); };
  const auto wild = [&](double low, double high) { // of any magnitude between
    return (next(0, 1) < 0.5f ? -1.0f : 1.0f) * std::pow(10.0f, next(std::log10(low), std::log10(high)));
  };
  for (auto& g : all) {
    const bool tame = next(0, 1) < 0.5f;
    for (float& m : g.mean) { m = tame ? next(-3, 3) : wild(1 / far, far); }
    if (tame) { g.mean[2] = next(0, 9); }
    for (float& s : g.scale) { s = tame ? std::abs(wild(1e-8, 1e4)) : wild(1 / large, large); }
    for (float& q : g.rotation) { q = wild(1e-6, 1e8); }
    if (next(0, 1) < 0.1f) { std::fill_n(g.rotation, 4, 0.0f); }
    g.opacity = next(0, 1) < 0.8f ? next(0, 1) : next(-2, 3);
    for (float& c : g.colour) { c = next(-1, 2); }
    if (next(0, 1) < 0.1f) { g.mean[1] = infinity; }
    if (next(0, 1) < 0.1f) { g.scale[2] = nan; }
  }
  return all;
}
void expect_sound(const std::vector<gaussian>& all, int seed) {
  idx bad = 0;
  for (const auto& g : all) { bad += std::isinf(g.mean[1]) || std::isnan(g.scale[2]) ? 1 : 0; }
  const auto r = render(all, two_cameras(41, 23));
  EXPECT_EQ(r.rejected, bad) << seed;
  EXPECT_TRUE(finite(r)) << seed;
  for (const float t : r.transmittance) { ASSERT_TRUE(t > 0 && t <= 1) << seed << " " << t; }
}

TEST(splat_fuzz, any_scene_of_this_world) {
  for (int seed = 0; seed < 60; ++seed) { expect_sound(anything(1 + 7 * (seed % 20), seed, 1e9, 1e4), seed); }
}

TEST(splat_fuzz, any_numbers_at_all) {
  for (int seed = 0; seed < 60; ++seed) { expect_sound(anything(1 + 7 * (seed % 20), seed, 1e38, 1e38), seed); }
}

TEST(splat_fuzz, bits_do_not_depend_on_the_number_of_threads) {
  auto all = ordinary(3000);
  const auto strange = anything(1500, 99, 1e9, 1e4);
  all.insert(all.begin() + 1000, strange.begin(), strange.end());
  const auto rig = two_cameras(171, 93);
  const auto expected = render(all, rig, 1);
  EXPECT_TRUE(finite(expected));
  for (const int threads : {1, 2, 3, 8}) {
    const auto r = render(all, rig, threads);
    EXPECT_TRUE(same_bits(r, expected)) << threads << " threads";
    EXPECT_EQ(r.visible, expected.visible);
    EXPECT_EQ(r.rejected, expected.rejected);
    EXPECT_EQ(r.degenerate, expected.degenerate);
  }
}

} // namespace fuzz_test
