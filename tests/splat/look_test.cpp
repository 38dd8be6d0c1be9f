// SPDX-License-Identifier: Apache-2.0
// The projection's first look: nothing that is drawn is lost, whatever passes the Gaussians go through.

#include "scenes.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

namespace look_test {

using namespace sqs;
constexpr splat::raster_config config{};
using constants = splat::raster_constants<config, double>;

/// Pairs that are drawn by the maths of the projection alone, one Gaussian at a time.
template <bool Pinhole> std::vector<idx> drawn_by_all_maths(const scenes::inputs<double>& in) {
  const auto v = splat::make_view_constants<config>(in.rig[0]);
  std::vector<idx> drawn;
  for (idx g = 0; g < in.s.count(); ++g) {
    const auto row = [g](const tensor<double, 2>& x) { return vec3<double>{x(g, 0), x(g, 1), x(g, 2)}; };
    const auto& q = in.s.rotations;
    const auto factor = covariance_factor<constants::convention>(
        row(in.s.scales), quaternion<double>{q(g, 0), q(g, 1), q(g, 2), q(g, 3)});
    const splat::detail::flat_gaussian<constants, Pinhole, double> f(v, splat::detail::to_camera(v, row(in.s.means)),
                                                                     factor);
    const splat::detail::footprint<constants, Pinhole, double> at(f, in.s.opacities(g));
    double x0, x1, y0, y1;
    splat::detail::pixel_range(f.u, at.radius_x, v.width, x0, x1);
    splat::detail::pixel_range(f.v, at.radius_y, v.height, y0, y1);
    if (at.drawn() && std::floor(x0) < std::floor(x1) && std::floor(y0) < std::floor(y1)) { drawn.push_back(g); }
  }
  return drawn;
}

/// Gaussians all around a camera, of all sizes: many reach into the image from outside.
scenes::inputs<double> around(idx n, const any_camera<double>& camera, double scale, std::uint64_t seed) {
  auto in = scenes::random({.gaussians = n,
                            .least_opacity = 0,
                            .most_opacity = 1,
                            .least_scale = 1e-3,
                            .most_scale = 1,
                            .spread = 3,
                            .seed = seed});
  const auto draw = random_stream::of(seed, 7);
  for (idx g = 0; g < n; ++g) {
    const double size = scale * std::exp(draw.uniform(2 * g, -5, 0));
    for (idx k = 0; k < 3; ++k) { in.s.scales(g, k) *= size; }
    if (g % 5 == 0) { in.s.means(g, 2) *= draw.uniform(2 * g + 1, -1, 0.1); }       // behind, and close to the eye
    if (g % 7 == 0) { in.s.opacities(g) = std::exp2(-static_cast<double>(g % 9)); } // where the bound of log2 is exact
  }
  in.rig = {{camera, se3<double>{}}};
  return in;
}

template <bool Pinhole> void expect_all_that_is_drawn(const any_camera<double>& camera, double most_of_visible) {
  cpu e{.threads = 1};
  for (const double scale : {0.01, 1.0, 30.0}) {
    const auto in = around(6000, camera, scale, 41);
    const auto p = splat::project<config>(e, in.s, in.rig);
    std::vector<idx> drawn;
    for (idx i = 0; i < p.count(); ++i) {
      if (p.boxes(i).visible()) { drawn.push_back(p.records(i).gaussian); }
    }
    const auto expected = drawn_by_all_maths<Pinhole>(in);
    EXPECT_EQ(drawn, expected);
    EXPECT_EQ(p.counts.visible, static_cast<idx>(expected.size()));
    EXPECT_GT(expected.size(), 50u);
    EXPECT_LT(expected.size(), 5000u);
    EXPECT_LT(static_cast<double>(p.count()), most_of_visible * static_cast<double>(expected.size())) << "at " << scale;
  }
}

TEST(look, finds_all_that_is_drawn_by_a_pinhole) {
  expect_all_that_is_drawn<true>(pinhole_camera<double>{100, 120, 50, 40, 100, 80}, 2);
  expect_all_that_is_drawn<true>(pinhole_camera<double>{-300, 250, 30, 70, 100, 80}, 2); // flipped, off its middle
  expect_all_that_is_drawn<true>(pinhole_camera<double>{60, 50, -10, 60, 100, 80}, 3);   // axis outside the image
}
TEST(look, finds_all_that_is_drawn_by_other_cameras) {
  auto camera = any_camera<double>(pinhole_camera<double>{100, 120, 50, 40, 100, 80});
  camera.model = camera_model::orthographic, camera.fx = camera.fy = 20;
  expect_all_that_is_drawn<false>(camera, 2);
  camera.model = camera_model::fisheye, camera.fx = camera.fy = 40, camera.distortion = {0.1, -0.02};
  expect_all_that_is_drawn<false>(camera, 4);
  camera.model = camera_model::opencv, camera.fx = camera.fy = 100, camera.distortion = {-0.2, 0.03, 0.001, -0.002};
  expect_all_that_is_drawn<false>(camera, 4);
}

/// `Bytes`: of a number or record, without padding behind it.
template <std::size_t Bytes, class T> void expect_same_bytes(const tensor<T, 1>& a, const tensor<T, 1>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (idx i = 0; i < a.size(); ++i) { ASSERT_EQ(std::memcmp(&a(i), &b(i), Bytes), 0) << i; }
}
/// One thread looks and projects at once where there is one view, several look first. Returns how many are drawn.
template <class T, splat::raster_config Config = config>
idx expect_one_pass_is_as_two(const scenes::inputs<double>& wide) {
  const auto in = scenes::in_scalar<T>(wide);
  const idx n = in.s.count();
  const auto project = [&](int threads) {
    cpu e{.threads = threads};
    auto radii = make_tensor<T, 2>({1, n}, T(-1));
    auto p = splat::project<Config>(e, in.s, in.rig, radii);
    splat::projection<T> kept; // outlives the executor
    kept.first = p.first, kept.counts = p.counts;
    kept.records = make_tensor<splat::projected_gaussian<T>, 1>({p.count()});
    kept.boxes = make_tensor<splat::tile_box, 1>({p.count()});
    kept.depths = make_tensor<T, 1>({p.count()});
    std::copy_n(p.records.data(), p.count(), kept.records.data());
    std::copy_n(p.boxes.data(), p.count(), kept.boxes.data());
    std::copy_n(p.depths.data(), p.count(), kept.depths.data());
    return std::pair{kept, radii};
  };
  const auto [one, radii] = project(1);
  for (const int threads : {2, 3}) {
    const auto [other, other_radii] = project(threads);
    expect_same_bytes<11 * sizeof(T) + sizeof(std::int32_t)>(one.records, other.records);
    expect_same_bytes<sizeof(splat::tile_box)>(one.boxes, other.boxes);
    expect_same_bytes<sizeof(T)>(one.depths, other.depths);
    expect_same_bytes<sizeof(T)>(radii.template reshaped<1>({n}), other_radii.template reshaped<1>({n}));
    EXPECT_EQ(one.first, other.first);
    EXPECT_EQ(one.counts.rejected, other.counts.rejected);
    EXPECT_EQ(one.counts.degenerate, other.counts.degenerate);
    EXPECT_EQ(one.counts.visible, other.counts.visible);
  }
  return one.counts.visible;
}
TEST(look, one_pass_is_as_two) {
  const pinhole_camera<double> camera{100, 120, 50, 40, 100, 80};
  // Fewer than a register, whole registers, what is left over between groups of them, more than a chunk.
  for (const idx n : {0, 1, 15, 16, 17, 191, 192, 193, 208, 1024, 3001}) {
    const auto in = around(n, camera, 1, 43);
    expect_one_pass_is_as_two<float>(in);
    expect_one_pass_is_as_two<double>(in);
  }
  // A few that are seen among many that are not: no group fills a register, and the last ones find nothing.
  auto few = around(3001, camera, 1, 44);
  for (idx g = 0; g < 3001; ++g) {
    const bool seen = g % 100 == 0 && g < 2500;
    few.s.means(g, 0) = few.s.means(g, 1) = 0, few.s.means(g, 2) = seen ? 5 : -5, few.s.opacities(g) = 0.5;
  }
  EXPECT_EQ(expect_one_pass_is_as_two<float>(few), 25);
}
TEST(look, one_pass_is_as_two_where_all_are_seen) { // the list of those that wait is as full as it gets
  auto in = around(1000, pinhole_camera<double>{100, 120, 50, 40, 100, 80}, 0.1, 46);
  for (idx g = 0; g < 1000; ++g) {
    in.s.means(g, 0) = in.s.means(g, 1) = 0, in.s.means(g, 2) = 1 + 0.01 * static_cast<double>(g);
    in.s.opacities(g) = g == 7 ? 0 : 0.5; // so that the first group leaves one less than a register
  }
  EXPECT_EQ(expect_one_pass_is_as_two<float>(in), 999);
  EXPECT_EQ(expect_one_pass_is_as_two<double>(in), 999);
}
TEST(look, one_pass_is_as_two_with_other_colours_and_cameras) {
  constexpr splat::raster_config harmonics{.sh_degree = 1}, many{.channels = 5};
  auto camera = any_camera<double>(pinhole_camera<double>{60, 60, 50, 40, 100, 80});
  auto in = around(500, camera, 1, 47);
  const auto colours = [&](idx columns) {
    in.s.colours = make_tensor<double, 2>({500, columns});
    for (idx i = 0; i < in.s.colours.size(); ++i) { in.s.colours.data()[i] = 0.01 * static_cast<double>(i % 97); }
  };
  for (const auto model : {camera_model::pinhole, camera_model::fisheye}) {
    camera.model = model;
    in.rig = {{camera, se3<double>{}}};
    colours(12);
    EXPECT_GT((expect_one_pass_is_as_two<float, harmonics>(in)), 50);
    colours(5);
    EXPECT_GT((expect_one_pass_is_as_two<float, many>(in)), 50);
  }
}
TEST(look, finds_all_that_is_drawn_far_from_the_principal_point) { // where the last bit of a position is half a pixel
  // A pinhole and a lens without distortion have the same image; only the pinhole's look has bounds of its own.
  cpu e{.threads = 1};
  auto camera = any_camera<float>(pinhole_camera<float>{1000, 1000, 32 - 6e6f, 20, 64, 40});
  const idx n = 20000;
  auto in = scenes::blank<float>(n, 3, 1);
  const auto draw = random_stream::of(48, 1);
  for (idx g = 0; g < n; ++g) {
    const double z = draw.uniform(4 * g, 2, 9), u = draw.uniform(4 * g + 1, -3, 67),
                 v = draw.uniform(4 * g + 2, -1, 41);
    in.s.means(g, 0) = static_cast<float>((u - 32 + 6e6) / 1000 * z);
    in.s.means(g, 1) = static_cast<float>((v - 20) / 1000 * z), in.s.means(g, 2) = static_cast<float>(z);
    for (idx k = 0; k < 3; ++k) { in.s.scales(g, k) = 1e-9f; }
    in.s.opacities(g) = static_cast<float>(draw.uniform(4 * g + 3, 0, 0.1));
  }
  const auto drawn = [&](camera_model model) {
    camera.model = model;
    in.rig = {{camera, se3<float>{}}};
    const auto p = splat::project<config>(e, in.s, in.rig);
    std::vector<idx> found;
    for (idx i = 0; i < p.count(); ++i) {
      if (p.boxes(i).visible()) { found.push_back(p.records(i).gaussian); }
    }
    return found;
  };
  const auto expected = drawn(camera_model::opencv);
  EXPECT_GT(expected.size(), 5000u);
  EXPECT_EQ(drawn(camera_model::pinhole), expected);
}
TEST(look, one_pass_is_as_two_with_numbers_that_are_not_finite) {
  auto in = around(3001, pinhole_camera<double>{100, 120, 50, 40, 100, 80}, 1, 45);
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  in.s.means(3, 0) = nan, in.s.scales(400, 2) = inf, in.s.rotations(401, 1) = -inf, in.s.opacities(402) = nan;
  in.s.colours(1500, 2) = inf, in.s.colours(3000, 1) = nan;
  in.s.scales(700, 0) = 1e30, in.s.means(702, 0) = 1e38; // finite, too large for float
  expect_one_pass_is_as_two<float>(in);
  expect_one_pass_is_as_two<double>(in);
  cpu e{.threads = 1};
  const auto p = splat::project<config>(e, in.s, in.rig);
  EXPECT_EQ(p.counts.rejected, 6);
  for (const auto& r : p.records) {
    for (const idx bad : {3, 400, 401, 402, 1500, 3000}) { EXPECT_NE(r.gaussian, bad); }
  }
}

} // namespace look_test
