// SPDX-License-Identifier: Apache-2.0
// The rasterizer's stages on their own.

#include "scenes.hpp"

#include <sqs/autodiff/check_gradient.hpp>

#include <gtest/gtest.h>

#include <numeric>
#include <tuple>

namespace stages_test {

using namespace sqs;
constexpr splat::raster_config config{};

/// The record of Gaussian g in view v; -1 if it has none or is not drawn.
template <class T> idx record_of(const splat::projection<T>& p, int v, idx g) {
  for (idx i = p.first[static_cast<std::size_t>(v)]; i < p.first[static_cast<std::size_t>(v) + 1]; ++i) {
    if (p.records.data()[i].gaussian == g && p.boxes.data()[i].visible()) { return i; }
  }
  return -1;
}

TEST(project, by_hand) {
  cpu e{.threads = 1};
  auto in = scenes::blank<double>(1, 3, 1);
  in.s.means(0, 0) = 1, in.s.means(0, 1) = -0.5, in.s.means(0, 2) = 4;
  in.s.scales(0, 0) = 0.1, in.s.scales(0, 1) = 0.2, in.s.scales(0, 2) = 0.4;
  in.s.opacities(0) = 0.8;
  in.s.colours(0, 1) = 0.25;
  in.rig.add(pinhole_camera<double>{100, 120, 50, 40, 100, 80}, {});
  auto radii = make_tensor<double, 2>({1, 1});
  const auto p = splat::project<config>(e, in.s, in.rig, radii);
  ASSERT_EQ(p.count(), 1);
  const auto& r = p.records(0);
  EXPECT_DOUBLE_EQ(r.x, 75);
  EXPECT_DOUBLE_EQ(r.y, 25);
  EXPECT_DOUBLE_EQ(r.depth, 4);
  EXPECT_EQ(r.colour[1], 0.25);
  EXPECT_NEAR(r.log2_opacity, std::log2(0.8), 1e-15);
  // J = [[25, 0, -6.25], [0, 30, 3.75]]; Cov2 = J diag(.01, .04, .16) J^T + 0.3 I
  const double xx = 625 * 0.01 + 6.25 * 6.25 * 0.16 + 0.3, yy = 900 * 0.04 + 3.75 * 3.75 * 0.16 + 0.3,
               xy = -6.25 * 3.75 * 0.16, det = xx * yy - xy * xy;
  EXPECT_NEAR(r.a(), yy / det, 1e-14);
  EXPECT_NEAR(r.b(), -xy / det, 1e-14);
  EXPECT_NEAR(r.c(), xx / det, 1e-14);
  EXPECT_NEAR(r.shear, -xy / xx, 1e-14);
  const double half_x = std::sqrt(2 * std::log(255 * 0.8) * xx), half_y = std::sqrt(2 * std::log(255 * 0.8) * yy);
  EXPECT_NEAR(radii(0, 0), std::max(half_x, half_y), 0.03);
  const auto& box = p.boxes(0);
  EXPECT_EQ(box.x0, static_cast<int>(75 - half_x) / 16);
  EXPECT_EQ(box.x1, static_cast<int>(75 + half_x) / 16 + 1);
  EXPECT_EQ(box.y0, static_cast<int>(25 - half_y) / 16);
  EXPECT_EQ(box.y1, static_cast<int>(25 + half_y) / 16 + 1);
  EXPECT_EQ(p.counts.visible, 1);
}

/// Projects a scene of which only some Gaussians are before the camera, and each of those alone: the same records.
template <class T> void expect_alone_and_among_others(const std::vector<idx>& seen, idx n, idx channels) {
  cpu e{.threads = 1};
  const auto all = scenes::in_scalar<T>(scenes::random({.gaussians = n, .channels = channels}));
  auto in = scenes::in_scalar<T>(all);
  for (idx g = 0; g < n; ++g) {
    if (std::find(seen.begin(), seen.end(), g) == seen.end()) { in.s.means(g, 2) = T(-50); }
  }
  constexpr splat::raster_config plain{};
  constexpr splat::raster_config two{.channels = 2};
  const auto project = [&](const auto& scene) {
    return channels == 3 ? splat::project<plain>(e, scene.s, scene.rig) : splat::project<two>(e, scene.s, scene.rig);
  };
  const auto p = project(in);
  ASSERT_EQ(p.first[1] - p.first[0], static_cast<idx>(seen.size()));
  for (std::size_t i = 0; i < seen.size(); ++i) {
    auto one = scenes::in_scalar<T>(scenes::blank<double>(1, channels, 2));
    one.rig = in.rig;
    const auto row = [&](auto& to, const auto& from) {
      for (idx c = 0; c < to.extent(1); ++c) { to(0, c) = from(seen[i], c); }
    };
    row(one.s.means, in.s.means), row(one.s.scales, in.s.scales), row(one.s.rotations, in.s.rotations);
    row(one.s.colours, in.s.colours);
    one.s.opacities(0) = in.s.opacities(seen[i]);
    const auto q = project(one);
    const auto &a = p.records(static_cast<idx>(i)), &b = q.records(0);
    EXPECT_EQ(a.gaussian, seen[i]);
    EXPECT_EQ(std::tie(a.x, a.y, a.lx, a.k, a.ly, a.log2_opacity, a.shear, a.depth),
              std::tie(b.x, b.y, b.lx, b.k, b.ly, b.log2_opacity, b.shear, b.depth))
        << i << " of " << seen.size() << " among " << n;
    for (int c = 0; c < std::min<idx>(channels, 3); ++c) { EXPECT_EQ(a.colour[c], b.colour[c]); }
    EXPECT_EQ(p.depths(static_cast<idx>(i)), q.depths(0));
    const auto &box = p.boxes(static_cast<idx>(i)), &other = q.boxes(0);
    EXPECT_EQ(std::tie(box.x0, box.y0, box.x1, box.y1), std::tie(other.x0, other.y0, other.x1, other.y1));
  }
}
TEST(project, does_not_depend_on_the_neighbours) {
  // The first and the last of a register of 2, 4, 8 or 16; whole registers; with gaps; the last row of the scene.
  for (const idx n : {2, 4, 8, 16, 17}) { expect_alone_and_among_others<float>({0, n - 1}, n, 3); }
  for (const idx channels : {2, 3}) {
    std::vector<idx> all(40), some;
    std::iota(all.begin(), all.end(), idx{0});
    for (idx g = 0; g < 40; g += g % 3 + 1) { some.push_back(g); }
    expect_alone_and_among_others<float>(all, 40, channels);
    expect_alone_and_among_others<float>(some, 40, channels);
    expect_alone_and_among_others<double>(all, 40, channels);
    expect_alone_and_among_others<double>(some, 40, channels);
  }
  expect_alone_and_among_others<double>({0, 3}, 4, 3);
  expect_alone_and_among_others<double>({0, 7}, 8, 3);
}

TEST(project, keeps_the_conic_of_a_needle_in_float) {
  // xx yy - xy^2 in float would be noise here: a needle of 1e4 : 1 at 45 degrees.
  cpu e{.threads = 1};
  auto wide = scenes::blank<double>(1, 3, 1);
  wide.s.means(0, 2) = 5;
  wide.s.scales(0, 0) = 100, wide.s.scales(0, 1) = wide.s.scales(0, 2) = 0.01;
  wide.s.rotations(0, 0) = std::cos(0.4), wide.s.rotations(0, 3) = std::sin(0.4);
  wide.s.opacities(0) = 0.5;
  wide.rig.add(pinhole_camera<double>{100, 100, 50, 50, 100, 100}, {});
  const auto narrow = scenes::in_scalar<float>(wide);
  const auto d = splat::project<config>(e, scenes::in_scalar<double>(narrow).s, wide.rig).records(0);
  const auto f = splat::project<config>(e, narrow.s, narrow.rig).records(0);
  EXPECT_NEAR(static_cast<double>(f.a()) / d.a(), 1, 1e-5);
  EXPECT_NEAR(static_cast<double>(f.b()) / d.b(), 1, 1e-5);
  EXPECT_NEAR(static_cast<double>(f.c()) / d.c(), 1, 1e-5);
}

/// `project` as an op on the numbers of its records: checks the stage's backward alone. Rows of what is not drawn are 0.
struct project_op {
  splat::scene<double> base;
  camera_rig<double> rig;
  struct saved {
    splat::scene<double> s;
    splat::projection<double> p;
  };
  auto forward(cpu& e, const tensor<double, 2>& means, const tensor<double, 2>& scales,
               const tensor<double, 2>& rotations, const tensor<double, 1>& opacities) const {
    splat::scene<double> s{means, scales, rotations, opacities, base.colours};
    auto p = splat::project<config>(e, s, rig);
    auto y = zeros<double, 2>(e, {rig.size() * s.count(), 7});
    for (int v = 0; v < rig.size(); ++v) {
      for (idx g = 0; g < s.count(); ++g) {
        const idx i = record_of(p, v, g);
        if (i < 0) { continue; }
        const auto& r = p.records(i);
        const double numbers[] = {r.x, r.y, r.depth, r.a(), r.b(), r.c(), r.log2_opacity};
        std::copy_n(numbers, 7, &y(v * s.count() + g, 0));
      }
    }
    return result{std::move(y), saved{std::move(s), std::move(p)}};
  }
  auto backward(cpu& e, const saved& s, const tensor<double, 2>& d) const {
    using plan = splat::moment_plan<config>;
    auto moments = zeros<double, 2>(e, {s.p.count(), plan::row});
    for (int v = 0; v < rig.size(); ++v) {
      for (idx g = 0; g < s.s.count(); ++g) {
        const idx i = record_of(s.p, v, g), row = v * s.s.count() + g;
        if (i < 0) { continue; }
        // The moments whose finished gradients are the given ones: those of the centre go through Q.
        const auto& r = s.p.records(i);
        const double det = r.a() * r.c() - r.b() * r.b();
        moments(i, 0) = d(row, 6) / std::log(2.0);
        moments(i, 1) = (r.c() * d(row, 0) - r.b() * d(row, 1)) / det;
        moments(i, 2) = (r.a() * d(row, 1) - r.b() * d(row, 0)) / det;
        moments(i, 3) = -2 * d(row, 3), moments(i, 4) = -d(row, 4), moments(i, 5) = -2 * d(row, 5);
        moments(i, plan::depth) = d(row, 2);
      }
    }
    auto g = splat::project_backward<config>(e, s.s, rig, s.p, splat::blend_gradients<double>{moments, {}, true});
    return std::tuple{g.means, g.scales, g.rotations, g.opacities};
  }
};

TEST(project, gradient) {
  auto in = scenes::random({.gaussians = 12, .most_scale = 2, .spread = 1.6, .seed = 31});
  cpu e{.threads = 2};
  const project_op op{in.s, in.rig};
  const auto report =
      check_gradient(e, op, gradient_check{.step = 1e-4}, in.s.means, in.s.scales, in.s.rotations, in.s.opacities);
  std::cout << "worst " << report.worst << " at " << report.where << "\n";
  EXPECT_LE(report.worst, 1e-7) << report.where;
  EXPECT_GE(report.nonzero, report.checked * 8 / 10);
}

TEST(bin, lists_every_tile_nearest_first) {
  const auto in = scenes::random({.gaussians = 200, .height = 50, .width = 70, .seed = 32});
  cpu e{.threads = 2};
  const auto p = splat::project<config>(e, in.s, in.rig);
  const auto grid = splat::make_tile_grid<config>(in.rig);
  ASSERT_EQ(grid[0].tiles_x, 5);
  ASSERT_EQ(grid[0].tiles_y, 4);
  ASSERT_EQ(grid.tiles(), 40);
  const auto order = splat::sort_by_depth(e, p, grid);
  const auto rows = splat::intersections_per_row(e, p, grid);
  EXPECT_EQ(std::accumulate(rows.begin(), rows.end(), idx{0}),
            splat::bin(e, p, grid, order, {0, grid.rows()}).intersections());
  idx checked = 0;
  for (const splat::tile_band band : {splat::tile_band{0, 8}, splat::tile_band{0, 3}, splat::tile_band{3, 6},
                                      splat::tile_band{6, 8}}) { // the second view begins at row 4
    const auto b = splat::bin(e, p, grid, order, band);
    idx in_band = 0;
    for (idx t = 0; t < grid.tiles(); ++t) {
      const int view = t < 20 ? 0 : 1;
      const idx ty = t % 20 / 5, tx = t % 5, row = 4 * view + ty;
      if (row < band.begin || row >= band.end) { continue; }
      std::vector<idx> expected;
      for (idx g = 0; g < 200; ++g) {
        const idx i = record_of(p, view, g);
        if (i < 0) { continue; }
        const auto& box = p.boxes(i);
        if (box.x0 <= tx && tx < box.x1 && box.y0 <= ty && ty < box.y1) { expected.push_back(i); }
      }
      std::stable_sort(expected.begin(), expected.end(),
                       [&](idx i, idx j) { return p.records(i).depth < p.records(j).depth; });
      const idx local = t - b.first_tile;
      const std::vector<idx> actual(b.order.data() + b.begin(local), b.order.data() + b.begin(local + 1));
      EXPECT_EQ(actual, expected) << "tile " << t;
      in_band += static_cast<idx>(expected.size());
    }
    EXPECT_EQ(in_band, b.intersections());
    checked += in_band;
  }
  EXPECT_GT(checked, 800);
}

// The box must hold every pixel the cut keeps.
TEST(project, box_never_cuts_what_the_cut_keeps) {
  const auto in = scenes::random({.gaussians = 50, .height = 64, .width = 96, .seed = 33});
  cpu e{.threads = 2};
  const auto p = splat::project<config>(e, in.s, in.rig);
  idx kept = 0;
  for (int v = 0; v < 2; ++v) {
    for (idx g = 0; g < 50; ++g) {
      const idx i = record_of(p, v, g);
      if (i < 0) { continue; }
      const auto& r = p.records(i);
      const auto& box = p.boxes(i);
      for (int y = 0; y < 64; ++y) {
        for (int x = 0; x < 96; ++x) {
          const double dx = x + 0.5 - r.x, dy = y + 0.5 - r.y;
          const double alpha =
              in.s.opacities(g) * std::exp(-0.5 * (r.a() * dx * dx + r.c() * dy * dy) - r.b() * dx * dy);
          if (alpha < 1.0 / 255) { continue; }
          ++kept;
          EXPECT_TRUE(box.x0 * 16 <= x && x < box.x1 * 16 && box.y0 * 16 <= y && y < box.y1 * 16);
        }
      }
    }
  }
  EXPECT_GT(kept, 1000);
}

// A cell that is left out where a pixel of it passes the cut would be missing from the image.
TEST(tile, finds_every_cell_that_is_reached) {
  using k = splat::raster_constants<config, double>;
  const auto in = scenes::random({.gaussians = 60, .height = 64, .width = 96, .least_scale = 0.01, .seed = 34});
  cpu e{.threads = 1};
  const auto p = splat::project<config>(e, in.s, in.rig);
  const auto grid = splat::make_tile_grid<config>(in.rig);
  const auto bins = splat::bin(e, p, grid, splat::sort_by_depth(e, p, grid), {0, grid.rows()});
  idx reached_pixels = 0, listed = 0, possible = 0;
  splat::detail::tile_batch<k, double, 64> batch;
  for (idx t = 0; t < grid.tiles(); ++t) {
    const auto at = splat::detail::place_of<16>(grid, t);
    const idx entries = bins.begin(t + 1) - bins.begin(t);
    if (entries == 0) { continue; }
    const std::int32_t* order = bins.order.data() + bins.begin(t);
    const int count = batch.fill(p.records.data(), order, entries, in.s.colours.data(), at);
    std::vector<std::array<bool, 16>> reached(static_cast<std::size_t>(count));
    batch.find_cells([&](int cell, int first, const auto& mask) {
      for (int l = 0; l < batch.n && first + l < count; ++l) {
        reached[static_cast<std::size_t>(first + l)][static_cast<std::size_t>(cell)] = mask[l];
        listed += mask[l] ? 1 : 0;
        ++possible;
      }
    });
    for (int i = 0; i < count; ++i) {
      const auto& r = p.records(order[i]);
      for (int pixel = 0; pixel < 256; ++pixel) {
        const double dx = at.x0 + pixel % 16 + 0.5 - r.x, dy = at.y0 + pixel / 16 + 0.5 - r.y;
        const double alpha =
            in.s.opacities(r.gaussian) * std::exp(-0.5 * (r.a() * dx * dx + r.c() * dy * dy) - r.b() * dx * dy);
        if (alpha < 1.0 / 255) { continue; }
        ++reached_pixels;
        const std::size_t cell = static_cast<std::size_t>(pixel / 64 * 4 + pixel % 16 / 4);
        EXPECT_TRUE(reached[static_cast<std::size_t>(i)][cell]);
      }
    }
  }
  EXPECT_GT(reached_pixels, 10000);
  EXPECT_LT(listed, possible * 3 / 4); // and it does leave out
}

} // namespace stages_test
