// SPDX-License-Identifier: Apache-2.0
// The rasterizer's stages on their own.

#include "scenes.hpp"

#include <sqs/autodiff/check_gradient.hpp>

#include <gtest/gtest.h>

#include <numeric>

namespace {

using namespace sqs;
constexpr splat::raster_config config{};

TEST(project, by_hand) {
  cpu e{.threads = 1};
  auto in = scenes::blank<double>(1, 3, 1);
  in.s.means(0, 0) = 1, in.s.means(0, 1) = -0.5, in.s.means(0, 2) = 4;
  in.s.scales(0, 0) = 0.1, in.s.scales(0, 1) = 0.2, in.s.scales(0, 2) = 0.4;
  in.s.opacities(0) = 0.8;
  in.rig.add({100, 120, 50, 40, 100, 80}, {});
  const auto p = splat::project<config>(e, in.s, in.rig);
  const auto& r = p.records(0, 0);
  EXPECT_DOUBLE_EQ(r.x, 75);
  EXPECT_DOUBLE_EQ(r.y, 25);
  EXPECT_DOUBLE_EQ(r.depth, 4);
  // J = [[25, 0, -6.25], [0, 30, 3.75]]; Cov2 = J diag(.01, .04, .16) J^T + 0.3 I
  const double xx = 625 * 0.01 + 6.25 * 6.25 * 0.16 + 0.3, yy = 900 * 0.04 + 3.75 * 3.75 * 0.16 + 0.3,
               xy = -6.25 * 3.75 * 0.16, det = xx * yy - xy * xy;
  EXPECT_NEAR(r.a, yy / det, 1e-14);
  EXPECT_NEAR(r.b, -xy / det, 1e-14);
  EXPECT_NEAR(r.c, xx / det, 1e-14);
  EXPECT_NEAR(r.radius_x, std::sqrt(2 * std::log(255 * 0.8) * xx), 0.02);
  EXPECT_NEAR(r.radius_y, std::sqrt(2 * std::log(255 * 0.8) * yy), 0.03);
  EXPECT_EQ(p.counts.visible, 1);
}

TEST(project, keeps_the_conic_of_a_needle_in_float) {
  // xx yy - xy^2 in float would be noise here: a needle of 1e4 : 1 at 45 degrees.
  cpu e{.threads = 1};
  auto wide = scenes::blank<double>(1, 3, 1);
  wide.s.means(0, 2) = 5;
  wide.s.scales(0, 0) = 100, wide.s.scales(0, 1) = wide.s.scales(0, 2) = 0.01;
  wide.s.rotations(0, 0) = std::cos(0.4), wide.s.rotations(0, 3) = std::sin(0.4);
  wide.s.opacities(0) = 0.5;
  wide.rig.add({100, 100, 50, 50, 100, 100}, {});
  const auto narrow = scenes::in_scalar<float>(wide);
  const auto d = splat::project<config>(e, scenes::in_scalar<double>(narrow).s, wide.rig).records(0, 0);
  const auto f = splat::project<config>(e, narrow.s, narrow.rig).records(0, 0);
  EXPECT_NEAR(static_cast<double>(f.a) / d.a, 1, 1e-5);
  EXPECT_NEAR(static_cast<double>(f.b) / d.b, 1, 1e-5);
  EXPECT_NEAR(static_cast<double>(f.c) / d.c, 1, 1e-5);
}

/// `project` as an op on the numbers of its records: checks the stage's backward alone.
struct project_op {
  splat::scene<double> base;
  camera_rig<double> rig;
  struct saved {
    splat::scene<double> s;
    tensor<splat::projected_gaussian<double>, 2> records;
  };
  auto forward(cpu& e, const tensor<double, 2>& means, const tensor<double, 2>& scales,
               const tensor<double, 2>& rotations, const tensor<double, 1>& opacities) const {
    splat::scene<double> s{means, scales, rotations, opacities, base.colours};
    auto p = splat::project<config>(e, s, rig);
    auto y = empty<double, 2>(e, {p.records.size(), 7});
    for (idx i = 0; i < p.records.size(); ++i) {
      const auto& r = p.records.data()[i];
      const double numbers[] = {r.x, r.y, r.depth, r.a, r.b, r.c, r.opacity};
      std::copy_n(numbers, 7, y.data() + 7 * i);
    }
    return result{std::move(y), saved{std::move(s), std::move(p.records)}};
  }
  auto backward(cpu& e, const saved& s, const tensor<double, 2>& d) const {
    auto records = empty<splat::projected_gradient<double>, 2>(e, s.records.shape());
    for (idx i = 0; i < records.size(); ++i) {
      records.data()[i] = {d(i, 0), d(i, 1), d(i, 2), d(i, 3), d(i, 4), d(i, 5), d(i, 6)};
    }
    auto g = splat::project_backward<config>(e, s.s, rig, s.records, records);
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
  const auto b = splat::bin<config>(e, p.records, 70, 50);
  EXPECT_EQ(b.tiles_x, 5);
  EXPECT_EQ(b.tiles_y, 4);
  idx checked = 0;
  for (idx t = 0; t < 2 * b.tiles(); ++t) {
    const idx view = t / b.tiles(), ty = t % b.tiles() / b.tiles_x, tx = t % b.tiles_x;
    std::vector<idx> expected;
    for (idx g = 0; g < 200; ++g) {
      const auto& r = p.records(view, g);
      if (r.tile_x0 <= tx && tx < r.tile_x1 && r.tile_y0 <= ty && ty < r.tile_y1) { expected.push_back(g); }
    }
    std::stable_sort(expected.begin(), expected.end(),
                     [&](idx i, idx j) { return p.records(view, i).depth < p.records(view, j).depth; });
    const std::vector<idx> actual(b.order.data() + b.tile_begin(t), b.order.data() + b.tile_begin(t + 1));
    EXPECT_EQ(actual, expected);
    checked += static_cast<idx>(expected.size());
  }
  EXPECT_EQ(checked, b.intersections());
  EXPECT_EQ(b.first_slot(400), b.intersections());
  EXPECT_GT(checked, 400);
}

// The box must hold every pixel the cut keeps: compared with a configuration whose boxes are far larger.
TEST(project, box_never_cuts_what_the_cut_keeps) {
  const auto in = scenes::random({.gaussians = 50, .height = 64, .width = 96, .seed = 33});
  cpu e{.threads = 2};
  const auto p = splat::project<config>(e, in.s, in.rig);
  idx kept = 0;
  for (idx v = 0; v < 2; ++v) {
    for (idx g = 0; g < 50; ++g) {
      const auto& r = p.records(v, g);
      if (!r.visible()) { continue; }
      for (int y = 0; y < 64; ++y) {
        for (int x = 0; x < 96; ++x) {
          const double dx = x + 0.5 - r.x, dy = y + 0.5 - r.y;
          const double alpha = r.opacity * std::exp(-0.5 * (r.a * dx * dx + r.c * dy * dy) - r.b * dx * dy);
          if (alpha < 1.0 / 255) { continue; }
          ++kept;
          EXPECT_TRUE(r.tile_x0 * 16 <= x && x < r.tile_x1 * 16 && r.tile_y0 * 16 <= y && y < r.tile_y1 * 16);
          EXPECT_LE(std::abs(dx), r.radius_x);
          EXPECT_LE(std::abs(dy), r.radius_y);
        }
      }
    }
  }
  EXPECT_GT(kept, 1000);
}

TEST(lanes, exp2_is_accurate_to_float) {
  double worst = 0;
  for (int i = -100000; i <= 4000; ++i) {
    const float x = static_cast<float>(i) * 1e-3f;
    const auto y = splat::detail::exp2_of<float, 4>(splat::detail::lanes<float, 4>{x, x, x, x});
    worst = std::max(worst, std::abs(static_cast<double>(y[2]) / std::exp2(static_cast<double>(x)) - 1));
  }
  EXPECT_LE(worst, 2e-7);
  EXPECT_EQ((splat::detail::exp2_of<float, 4>(splat::detail::lanes<float, 4>{0, 0, 0, 0})[0]), 1.0f);
}

} // namespace
