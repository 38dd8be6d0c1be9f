// SPDX-License-Identifier: Apache-2.0
// Which tiles the device lists a Gaussian for: those the alpha cut reaches, however large its box. Compared with the
// smallest value of its form over every tile, found another way.

#include "device_parity.hpp"

#include <sqs/exec/emulated_gpu.hpp>

namespace device_coverage_test {

using namespace sqs;
using namespace sqs::test;
using splat::projected_gaussian;
using splat::tile_box;

constexpr splat::raster_config config{.tile = 8};
template <class T> using k = splat::raster_constants<config, T>;

/// The smallest (lx (dx + k dy))^2 + (ly dy)^2 over the pixel centres' rectangle of a tile: along every side of it, where
/// the form is a parabola.
template <class T> double least_over_tile(const projected_gaussian<T>& r, int tx, int ty) {
  const double x0 = tx * k<T>::tile + 0.5 - double(r.x), y0 = ty * k<T>::tile + 0.5 - double(r.y);
  const double x1 = x0 + k<T>::tile - 1, y1 = y0 + k<T>::tile - 1, lx = r.lx, turn = r.k, ly = r.ly;
  if (x0 <= 0 && x1 >= 0 && y0 <= 0 && y1 >= 0) { return 0; }
  const auto form = [&](double x, double y) { return lx * lx * (x + turn * y) * (x + turn * y) + ly * ly * y * y; };
  double least = 1e300;
  for (const double y : {y0, y1}) { least = std::min(least, form(std::clamp(-turn * y, x0, x1), y)); }
  const double bent = lx * lx * turn / (lx * lx * turn * turn + ly * ly);
  for (const double x : {x0, x1}) { least = std::min(least, form(x, std::clamp(-bent * x, y0, y1))); }
  return least;
}

/// Tiles of a box within reach of the cut, and how many would be with `more` pixels of slack.
template <class T> idx tiles_within(const projected_gaussian<T>& r, const tile_box& box, double more) {
  const double reach = std::sqrt(double(r.log2_opacity) - double(k<T>::log2_cut)) + more * double(std::max(r.lx, r.ly));
  idx n = 0;
  for (int y = box.y0; y < box.y1; ++y) {
    for (int x = box.x0; x < box.x1; ++x) { n += least_over_tile(r, x, y) <= reach * reach ? 1 : 0; }
  }
  return n;
}

/// Large Gaussians, needles among them, around images of 12 x 20 tiles.
scenes::inputs<double> large_scene() {
  auto in =
      scenes::random({.gaussians = 60, .height = 95, .width = 159, .least_scale = 0.3, .most_scale = 4, .seed = 3});
  for (idx g = 0; g < 60; g += 3) { in.s.scales(g, g % 2) = 0.01; }
  return in;
}
template <class T> void expect_exact_counts() {
  const auto in = scenes::in_scalar<T>(large_scene());
  cpu here{.threads = 1};
  const auto p = splat::project<config>(here, in.s, in.rig);
  idx least = 0, most = 0, boxes = 0, large = 0;
  for (idx i = 0; i < p.count(); ++i) {
    const auto& box = p.boxes.data()[i];
    least += tiles_within(p.records.data()[i], box, 0), most += tiles_within(p.records.data()[i], box, 0.05);
    boxes += box.tiles(), large += box.tiles() > 64 ? 1 : 0;
  }
  ASSERT_GT(large, 40);
  emulator::gpu e{.seed = 2};
  splat::raster_options<T, device> options;
  options.capacity = 1 << 16;
  const auto r = splat::device_rasterizer<config>{}.forward(
      e, to_device(e, in.s.means), to_device(e, in.s.scales), to_device(e, in.s.rotations),
      to_device(e, in.s.opacities), to_device(e, in.s.colours), to_device(e, in.background), in.rig, options);
  const auto counts = splat::read_counts(e, r.saved.lists.counts);
  EXPECT_EQ(counts.visible, p.count());
  const auto begin = to_host(e, r.saved.lists.all.begin);
  EXPECT_EQ(begin(begin.size() - 1), counts.intersections); // every entry that was counted was laid down
  EXPECT_GE(counts.intersections, least);
  EXPECT_LE(counts.intersections, most);
  EXPECT_LE(static_cast<double>(most - least), 0.01 * static_cast<double>(least)); // the bounds are close
  EXPECT_LT(static_cast<double>(counts.intersections), 0.9 * static_cast<double>(boxes));
}
TEST(device_coverage, counts_are_exact_for_large_gaussians) { expect_exact_counts<double>(); }
TEST(device_coverage, counts_are_exact_in_float) { expect_exact_counts<float>(); }

// Boxes of more rows than a warp has lanes, whose tiles are laid down in several rounds; in bands, too, where what is left
// of a box is counted again.
TEST(device_coverage, of_boxes_of_many_rows) {
  auto in = scenes::random({.gaussians = 8, .height = 600, .width = 24, .most_opacity = 0.5, .seed = 5});
  for (idx g = 0; g < 4; ++g) {
    for (idx i = 0; i < 3; ++i) { in.s.scales(g, i) = 60; }
  }
  cpu here{.threads = 1};
  const auto p = splat::project<config>(here, in.s, in.rig);
  idx tall = 0;
  for (const tile_box& box : p.boxes) { tall += box.y1 - box.y0 > 2 * warp_size ? 1 : 0; }
  ASSERT_GT(tall, 3);
  emulator::gpu e{.seed = 4};
  expect_same<config>(e, in, 1e-12, 1e-10);
  splat::raster_options<double, device> options;
  options.capacity = 1 << 12;
  splat::raster_counts whole, parts;
  const auto wanted = render_on<config>(e, in, options, &whole);
  options.bands = 3, options.capacity = whole.intersections * 2 / 5; // a third each, which cuts boxes
  const auto got = render_on<config>(e, in, options, &parts);
  expect_same_bits(got, wanted, "3 bands");
  EXPECT_EQ(parts.intersections, whole.intersections);
  EXPECT_EQ(parts.undrawn, 0);
}

// Every tile on its own: in the interval of its row if and only if it is reached.
TEST(device_coverage, of_every_row) {
  const auto in = large_scene();
  cpu here{.threads = 1};
  const auto p = splat::project<config>(here, in.s, in.rig);
  idx inside = 0, outside = 0;
  for (idx i = 0; i < p.count(); ++i) {
    const auto& r = p.records.data()[i];
    const auto& box = p.boxes.data()[i];
    const splat::detail::covered_rows<k<double>, double> rows(r, box);
    const double root = std::sqrt(r.log2_opacity - k<double>::log2_cut), pixel = std::max(r.lx, r.ly);
    for (int y = box.y0; y < box.y1; ++y) {
      const auto span = rows[y];
      ASSERT_TRUE(span.count() == 0 || (span.first >= box.x0 && span.last <= box.x1));
      for (int x = box.x0; x < box.x1; ++x) {
        const double least = std::sqrt(least_over_tile(r, x, y));
        const bool listed = x >= span.first && x < span.last;
        if (least <= root) { ASSERT_TRUE(listed) << i << ": " << x << ", " << y; }
        if (least > root + 0.05 * pixel) { ASSERT_FALSE(listed) << i << ": " << x << ", " << y; }
        inside += listed ? 1 : 0, outside += listed ? 0 : 1;
      }
    }
  }
  EXPECT_GT(inside, 10000);
  EXPECT_GT(outside, 3000);
}

// The other way round, in float and as the blend rounds: no pixel with an alpha lies in a tile that is not listed. Needles
// too, and centres thousands of pixels away.
TEST(device_coverage, misses_no_pixel) {
  using k = splat::raster_constants<config, float>;
  const auto draw = random_stream::of(12);
  idx i = 0, drawn = 0, listed_tiles = 0, all_tiles = 0;
  const auto between = [&](double low, double high) { return draw.uniform(i++, low, high); };
  for (int n = 0; n < 4000; ++n) {
    projected_gaussian<float> r;
    const double far = n % 4 == 0 ? 6000 : 100;
    // A needle of any direction through a point of the image, in a record's form.
    const double angle = between(0, 3.1416), along = std::exp2(between(-2, 12)), across = std::exp2(between(-0.8, 4));
    const double c = std::cos(angle), s = std::sin(angle), back = between(-far, far);
    const double xx = c * c * along * along + s * s * across * across + 0.3,
                 yy = s * s * along * along + c * c * across * across + 0.3,
                 xy = c * s * (along * along - across * across), det = xx * yy - xy * xy;
    r.x = static_cast<float>(between(0, 160) + back * c), r.y = static_cast<float>(between(0, 96) + back * s);
    r.lx = static_cast<float>(0.849322 * std::sqrt(yy / det)), r.ly = static_cast<float>(0.849322 / std::sqrt(yy));
    r.k = static_cast<float>(-xy / yy), r.shear = static_cast<float>(-xy / xx);
    r.log2_opacity = k::log2_cut + static_cast<float>(between(0, -double(k::log2_cut)));
    const tile_box box{0, 0, 20, 12};
    const splat::detail::covered_rows<k, float> rows(r, box);
    for (int ty = 0; ty < 12; ++ty) {
      const auto span = rows[ty];
      all_tiles += 20, listed_tiles += span.count();
      for (int p = 0; p < 160 * 8; ++p) {
        const int x = p % 160, y = 8 * ty + p / 160;
        const float alpha = splat::detail::alpha_of<k>(r, float(x) + 0.5f - r.x, float(y) + 0.5f - r.y);
        if (alpha == 0) { continue; }
        ++drawn;
        ASSERT_TRUE(x / 8 >= span.first && x / 8 < span.last) << n << ": pixel " << x << ", " << y;
      }
    }
  }
  EXPECT_GT(drawn, 1000000);
  EXPECT_LT(listed_tiles, all_tiles / 2);
}

// By hand, tiles of 8: a circle of 10 pixels around (20, 20), whose box is tiles 1 to 3 along both axes. The corners of
// the middle tile's neighbours lie within reach, those of the corner tiles at (15.5, 15.5), 6.4 pixels away, and, moved by
// 8 to the other side, at (24.5, 24.5).
TEST(device_coverage, by_hand) {
  projected_gaussian<double> r;
  r.x = r.y = 20, r.lx = r.ly = 0.1, r.log2_opacity = k<double>::log2_cut + 1; // the form reaches 1 at 10 pixels
  const tile_box box{1, 1, 4, 4};
  EXPECT_EQ(splat::detail::coverage_of<k<double>>(r, box), 0b111111111u);
  r.lx = r.ly = 1 / 6.3; // 6.3 pixels: the corners drop out
  EXPECT_EQ(splat::detail::coverage_of<k<double>>(r, box), 0b010111010u);
  r.x = 15.4, r.lx = r.ly = 1 / 0.3; // only the last column of the first tile, 0.1 px away
  EXPECT_EQ(splat::detail::coverage_of<k<double>>(r, box), 0b000001000u);
  // A box of more than 64 tiles keeps their number: a bar of 40 tiles, three tall.
  r.x = 160, r.lx = 1 / 150.0;
  EXPECT_EQ(splat::detail::coverage_of<k<double>>(r, tile_box{0, 1, 40, 4}), 38u); // pixels 10 .. 310
}

} // namespace device_coverage_test
