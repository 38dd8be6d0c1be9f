// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The scenes the rasterizer is measured on. They never change: a number means nothing without its scene.
///
/// W0      a training step of the small pre-training model: six images of 176 x 320, 3200 Gaussians
/// W1..W3  gsplat's test scene: points of a real garden, sizes, rotations and opacities at random by gsplat's recipe.
///         W1 three cameras of 648 x 420; W2 the first camera at 1920 x 1080; W3 the scene repeated 5 x 5 times, the
///         camera of W2, radius_clip of 3 px
/// W4..W7  six vehicle cameras of 352 x 800 in a box of 100 x 100 x 8 m: 25.6k Gaussians (W4, W5) or 144k (W6, W7) of up
///         to 0.64 m (W4, W6) or 0.30 m (W5, W7)
/// W8      W2 with opacities as training leaves them: most faint, many opaque
/// W1..W3 and W8 need gsplat-test-garden/test_garden.npz in SQS_DATA_DIR.

#include <sqs/core/random.hpp>
#include <sqs/sensor/rig.hpp>
#include <sqs/splat/scene.hpp>
#include <sqs/tensor/npz.hpp>

#include <cstdlib>
#include <map>

namespace workloads {

using namespace sqs;

inline constexpr int count = 9;

struct workload {
  int id = 0;
  splat::scene<float> s;
  tensor<float, 2> background; ///< [V,3]
  camera_rig<float> rig;
  bool clips = false; ///< W3: radius_clip of 3 px

  int width() const { return rig[0].camera.width; }
  int height() const { return rig[0].camera.height; }
};

inline std::filesystem::path garden_file() {
  const char* given = std::getenv("SQS_DATA_DIR");
  return std::filesystem::path(given != nullptr ? given : SQS_BENCH_DATA_DIR) / "gsplat-test-garden/test_garden.npz";
}
constexpr bool needs_garden(int id) { return (id >= 1 && id <= 3) || id == 8; }
inline bool available(int id) { return !needs_garden(id) || std::filesystem::exists(garden_file()); }

namespace detail {

inline workload blank(int id, idx n, int views) {
  return {id,
          {make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 3}), make_tensor<float, 2>({n, 4}),
           make_tensor<float, 1>({n}), make_tensor<float, 2>({n, 3})},
          make_tensor<float, 2>({views, 3}),
          {},
          false};
}

/// Six cameras at the origin, every 60 degrees about z; ref is x right, y forward, z up.
inline camera_rig<float> surround(int height, int width, float focal, float back_focal) {
  camera_rig<float> rig;
  for (int v = 0; v < 6; ++v) {
    const float angle = static_cast<float>(v) * 1.0471976f, c = std::cos(angle), s = std::sin(angle);
    const float f = v == 3 ? back_focal : focal;
    rig.add({f, f, 0.5f * static_cast<float>(width), 0.5f * static_cast<float>(height), width, height},
            {{{s, -c, 0, 0, 0, -1, c, s, 0}}, {}});
  }
  return rig;
}

inline workload vehicle(int id) {
  const idx n = id == 0 ? 3200 : (id <= 5 ? 25600 : 144000);
  workload w = blank(id, n, 6);
  w.rig = id == 0 ? surround(176, 320, 253, 160) : surround(352, 800, 632, 400);
  const auto draw = random_stream::of(20261121, id);
  idx i = 0;
  const auto next = [&](double low, double high) { return static_cast<float>(draw.uniform(i++, low, high)); };
  for (idx g = 0; g < n; ++g) {
    if (id == 0) { // as the model starts: polar, log-range 3 to 60 m, geometric scales around 0.4 m
      const float range = std::exp(next(std::log(3.0), std::log(60.0))), azimuth = next(0, 6.283185307);
      w.s.means(g, 0) = range * std::cos(azimuth), w.s.means(g, 1) = range * std::sin(azimuth);
      w.s.means(g, 2) = next(-4, 3);
      for (idx k = 0; k < 3; ++k) { w.s.scales(g, k) = std::exp(next(std::log(0.1), std::log(1.0))); }
      w.s.opacities(g) = next(0.05, 0.5);
    } else {
      w.s.means(g, 0) = next(-50, 50), w.s.means(g, 1) = next(-50, 50), w.s.means(g, 2) = next(-5, 3);
      for (idx k = 0; k < 3; ++k) { w.s.scales(g, k) = next(0.08, id % 2 == 0 ? 0.64 : 0.30); }
      w.s.opacities(g) = next(0, 1);
    }
    for (idx k = 0; k < 4; ++k) { w.s.rotations(g, k) = static_cast<float>(draw.normal((idx{1} << 40) + 4 * g + k)); }
    for (idx k = 0; k < 3; ++k) { w.s.colours(g, k) = next(0, 1); }
  }
  return w;
}

/// The first number of an array of one.
inline int whole_number(const stored_tensor& s) {
  std::int32_t v = 0; // little-endian: the low half of an int64 is the number
  expects(s.data.size() >= sizeof(v), "workloads: width or height of the garden is ", s.dtype, " and empty");
  std::memcpy(&v, s.data.data(), sizeof(v));
  return v;
}

/// 60 % of U(0.05, 0.2), 30 % of U(0.9, 1), the rest between.
inline float trained_opacity(double which, double where) {
  const double low = which < 0.6 ? 0.05 : (which < 0.9 ? 0.9 : 0.2), high = which < 0.6 ? 0.2 : (which < 0.9 ? 1 : 0.9);
  return static_cast<float>(low + (high - low) * where);
}

inline workload garden(int id) {
  const auto file = read_npz(garden_file());
  const auto points = to_tensor<float, 2>(file.at("means3d"), "means3d");
  const auto colours = to_tensor<std::uint8_t, 2>(file.at("colors"), "colors");
  const auto poses = to_tensor<float, 3>(file.at("viewmats"), "viewmats");
  const auto intrinsics = to_tensor<float, 3>(file.at("Ks"), "Ks");
  std::vector<idx> kept;
  for (idx g = 0; g < points.extent(0); ++g) {
    const auto in = [&](idx k) { return points(g, k) >= -2 && points(g, k) <= 2; };
    if (in(0) && in(1) && in(2)) { kept.push_back(g); }
  }
  const int half_grid = id == 3 ? 2 : 0, views = id == 1 ? 3 : 1;
  const idx copies = (2 * half_grid + 1) * (2 * half_grid + 1), per_copy = static_cast<idx>(kept.size());
  workload w = blank(id, copies * per_copy, views);
  const auto draw = random_stream::of(20261121, id);
  for (idx g = 0; g < w.s.count(); ++g) {
    const idx from = kept[static_cast<std::size_t>(g % per_copy)], copy = g / per_copy, wide = 2 * half_grid + 1;
    const idx step[3] = {copy / wide - half_grid, copy % wide - half_grid, 0};
    float length = 0;
    for (idx k = 0; k < 3; ++k) {
      w.s.means(g, k) = points(from, k) + 4.0f * static_cast<float>(step[k]);
      w.s.scales(g, k) = static_cast<float>(draw.uniform(16 * g + k, 1e-4, 0.02));
      w.s.colours(g, k) = static_cast<float>(colours(from, k)) / 255.0f;
    }
    for (idx k = 0; k < 4; ++k) {
      const float q = static_cast<float>(draw.normal((idx{1} << 40) + 4 * g + k));
      w.s.rotations(g, k) = q;
      length += q * q;
    }
    for (idx k = 0; k < 4; ++k) { w.s.rotations(g, k) /= std::sqrt(length); }
    w.s.opacities(g) = id == 8 ? trained_opacity(draw.uniform(16 * g + 3), draw.uniform(16 * g + 4))
                               : static_cast<float>(draw.uniform(16 * g + 3));
  }
  const int from_width = whole_number(file.at("width")), from_height = whole_number(file.at("height"));
  const int width = id == 1 ? from_width : 1920, height = id == 1 ? from_height : 1080;
  const float ax = static_cast<float>(width) / static_cast<float>(from_width);
  const float ay = static_cast<float>(height) / static_cast<float>(from_height);
  for (int v = 0; v < views; ++v) {
    se3<float> pose;
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) { pose.rotation(i, j) = poses(v, i, j); }
    }
    pose.translation = {poses(v, 0, 3), poses(v, 1, 3), poses(v, 2, 3)};
    const auto k = [&](idx row, idx column) { return intrinsics(v, row, column); };
    w.rig.add({ax * k(0, 0), ay * k(1, 1), ax * k(0, 2), ay * k(1, 2), width, height}, pose);
  }
  w.clips = id == 3;
  return w;
}

} // namespace detail

/// Builds a workload; the same numbers on every machine.
///
/// Errors      file_error without the garden's file; see `available`.
inline workload make(int id) { return needs_garden(id) ? detail::garden(id) : detail::vehicle(id); }

} // namespace workloads
