// SPDX-License-Identifier: Apache-2.0
// The rasterizer in float against itself in double, on the same numbers.
//
// An image is a discontinuous function of its inputs: where an alpha lies at the cut, a transmittance at the stop, or two
// depths next to each other, rounding decides which side a pixel is on. Such pixels are found in double, counted and left
// out; everywhere else float must agree.

#include "features.hpp"

namespace precision_test {

using namespace features;
using namespace splat;

/// Gaussians around a vehicle, seen by its front camera, 352 x 800 pixels for scale 1.
scenes::inputs<double> street(idx gaussians, double scale) {
  auto in = scenes::blank<double>(gaussians, 3, 1);
  const auto draw = random_stream::of(5, 101);
  idx i = 0;
  const auto next = [&](double low, double high) { return draw.uniform(i++, low, high); };
  for (idx g = 0; g < gaussians; ++g) {
    in.s.means(g, 0) = next(-50, 50), in.s.means(g, 1) = next(-50, 50), in.s.means(g, 2) = next(-2, 6);
    for (idx k = 0; k < 3; ++k) { in.s.scales(g, k) = next(0.08, 0.6), in.s.colours(g, k) = next(0, 1); }
    for (idx k = 0; k < 4; ++k) { in.s.rotations(g, k) = next(-1, 1); }
    in.s.opacities(g) = next(0, 1);
  }
  for (double& b : in.background) { b = next(0, 1); }
  const mat3<double> forward_is_x{{0, -1, 0, 0, 0, -1, 1, 0, 0}};
  const auto px = [&](int n) { return static_cast<int>(n * scale); };
  in.rig.add(any_camera<double>{632 * scale, 632 * scale, 408 * scale, 180 * scale, px(800), px(352)},
             {forward_is_x, {0.2, 1.5, -1.7}});
  return in;
}

/// Per pixel of all views whether rounding may decide about it: in value, and in gradient (the cap of alpha is a corner).
struct doubtful {
  std::vector<bool> value, gradient;
  idx values = 0;
};
/// `saved` of a call in double; alphas may be off by `band`, relative.
template <class Saved> doubtful find_doubtful(const Saved& saved, double band) {
  using k = raster_constants<raster_config{}, double>;
  const auto& grid = saved.grid;
  doubtful d{std::vector<bool>(static_cast<std::size_t>(grid.pixels())), {}, 0};
  d.gradient = d.value;
  const auto close = [&](double a, double b) { return std::abs(a - b) <= band * b; };
  for (idx tile = 0; tile < grid.tiles(); ++tile) {
    const auto at = splat::detail::place_of<16>(grid, tile);
    for (int p = 0; p < 256; ++p) {
      const int x = at.x0 + p % 16, y = at.y0 + p / 16;
      if (p % 16 >= at.width || p / 16 >= at.height) { continue; }
      double t = 1, last_depth = 0;
      bool value = false, gradient = false;
      for (idx i = saved.bins.begin(tile); i < saved.bins.begin(tile + 1) && t > k::stop; ++i) {
        const auto& r = saved.projected.records(saved.bins.order(i));
        const double dx = x + 0.5 - r.x, dy = y + 0.5 - r.y, turned = dx + r.k * dy;
        const double raw = std::exp2(r.log2_opacity - r.lx * r.lx * turned * turned - r.ly * r.ly * dy * dy);
        value = value || close(raw, k::alpha_cut);
        gradient = gradient || close(raw, k::alpha_max);
        if (raw < k::alpha_cut) { continue; }
        value = value || std::abs(r.depth - last_depth) <= band / 10 * r.depth; // z is a sum of three
        last_depth = r.depth;
        const double next = t * (1 - std::min(raw, k::alpha_max));
        value = value || std::abs(next - k::stop) <= 10 * band * k::stop; // everyone's errors
        if (next <= k::stop) { break; }
        t = next;
      }
      const auto pixel = static_cast<std::size_t>(grid[at.view].first_pixel + idx{y} * grid[at.view].width + x);
      d.value[pixel] = value, d.gradient[pixel] = value || gradient;
      d.values += value ? 1 : 0;
    }
  }
  return d;
}

template <class T> double relative_l2(const T& a, const auto& b) {
  double off = 0, size = 0;
  for (idx i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    off += (x - y) * (x - y), size += y * y;
  }
  return std::sqrt(off / size);
}

void expect_float_like_double(const char* name, const scenes::inputs<double>& scene) {
  constexpr double bound = 2e-6;
  const auto narrow = scenes::in_scalar<float>(scene);
  const auto wide = scenes::in_scalar<double>(narrow);
  const rasterizer<> op;
  cpu e{.threads = 2};
  const auto f = narrow.forward(op, e);
  const auto d = wide.forward(op, e);
  const auto doubt = find_doubtful(d.saved, 1e-5);
  double worst = 0, worst_doubtful = 0;
  idx flips = 0;
  for (idx p = 0; p < d.saved.grid.pixels(); ++p) {
    double gap = 0;
    for (idx c = 0; c < 3; ++c) {
      gap = std::max(gap,
                     std::abs(double(std::get<0>(f.value).data()[3 * p + c]) - std::get<0>(d.value).data()[3 * p + c]));
    }
    double& to = doubt.value[static_cast<std::size_t>(p)] ? worst_doubtful : worst;
    to = std::max(to, gap);
    flips += gap > bound ? 1 : 0;
  }
  std::cout << name << ": " << d.saved.counts.visible << " drawn, " << d.saved.grid.pixels() << " pixels, "
            << doubt.values << " doubtful, " << flips << " flipped (by up to " << worst_doubtful
            << "); image elsewhere " << worst << "\n";
  EXPECT_LE(worst, bound) << name;
  EXPECT_LT(doubt.values, d.saved.grid.pixels() / 50) << name;

  auto weights = some_gradient(e, d.value);
  for (idx p = 0; p < d.saved.grid.pixels(); ++p) {
    if (!doubt.gradient[static_cast<std::size_t>(p)]) { continue; }
    std::fill_n(std::get<0>(weights).data() + 3 * p, 3, 0.0);
    std::get<1>(weights).data()[p] = std::get<2>(weights).data()[p] = 0;
  }
  const auto gd = op.backward(e, d.saved, std::get<0>(weights), std::get<1>(weights), std::get<2>(weights));
  const auto gf =
      op.backward(e, f.saved, persistent_copy<float>(std::get<0>(weights)),
                  persistent_copy<float>(std::get<1>(weights)), persistent_copy<float>(std::get<2>(weights)));
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const double off[] = {relative_l2(std::get<I>(gf), std::get<I>(gd))...};
    const char* of[] = {"means", "scales", "rotations", "opacities", "colours", "background"};
    for (std::size_t i = 0; i < 6; ++i) {
      std::cout << "  rel-L2 of d " << of[i] << " " << off[i] << "\n";
      EXPECT_LE(off[i], 1e-5) << name << " " << of[i];
    }
  }
  (std::make_index_sequence<6>{});
}

TEST(precision, of_a_small_image) {
  expect_float_like_double("small", scenes::random({.gaussians = 100, .height = 32, .width = 48, .seed = 102}));
}
TEST(precision, of_many_gaussians) {
  expect_float_like_double("many", scenes::random({.gaussians = 1000,
                                                   .height = 96,
                                                   .width = 128,
                                                   .most_opacity = 1,
                                                   .least_scale = 0.02,
                                                   .most_scale = 0.3,
                                                   .seed = 103}));
}
TEST(precision, of_a_vehicle_camera) { expect_float_like_double("street", street(6000, 0.5)); }
// Right of pixel 512 a float has one bit less after the point.
TEST(precision, of_a_wide_vehicle_camera) { expect_float_like_double("wide street", street(6000, 1)); }

} // namespace precision_test
