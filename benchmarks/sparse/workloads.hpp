// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The sites the sparse convolutions are measured on. They never change: a number means nothing without its sites.
///
/// frame   a real LiDAR sweep at 0.1 m, [-80, 80) x [-80, 80) x [-2, 6): 125 562 voxels, 6.3 pairs each; needs
///         spconv-benchmark-frame/benchmark-pc.npz in SQS_DATA_DIR
/// lifted  what cameras give: a grid of 200 x 200 x 16 filled to 67 % by blobs, 25 pairs a voxel
/// thin    the lifted sites without two of three at random: 9 pairs a voxel

#include "../../tests/sparse/pairs_oracle.hpp"

#include <sqs/core/random.hpp>
#include <sqs/tensor/npz.hpp>

#include <cstdlib>

namespace workloads {

using namespace sqs;

struct workload {
  std::string name;
  std::array<idx, 3> grid{};
  std::vector<test::site> sites; ///< ascending
  std::vector<test::pair> pairs; ///< of a 3 x 3 x 3 submanifold convolution
  sparse::convolution_plan plan; ///< by brute force

  idx rows() const { return static_cast<idx>(sites.size()); }
};

inline std::filesystem::path frame_file() {
  const char* given = std::getenv("SQS_DATA_DIR");
  return std::filesystem::path(given != nullptr ? given : SQS_BENCH_DATA_DIR) /
         "spconv-benchmark-frame/benchmark-pc.npz";
}
inline bool available(const std::string& name) { return name != "frame" || std::filesystem::exists(frame_file()); }

inline std::vector<test::site> frame_sites() {
  const auto file = read_npz(frame_file());
  const auto points = to_tensor<float, 2>(file.begin()->second, file.begin()->first);
  constexpr float low[] = {-80, -80, -2}, high[] = {80, 80, 6}, voxel = 0.1f;
  std::vector<test::site> sites;
  for (idx i = 0; i < points.extent(0); ++i) {
    test::site s{};
    bool inside = true;
    for (idx a = 0; a < 3; ++a) {
      inside = inside && points(i, a) >= low[a] && points(i, a) < high[a];
      s[static_cast<std::size_t>(a) + 1] = inside ? static_cast<int>((points(i, a) - low[a]) / voxel) : 0;
    }
    if (inside) { sites.push_back(s); }
  }
  std::sort(sites.begin(), sites.end());
  sites.erase(std::unique(sites.begin(), sites.end()), sites.end());
  return sites;
}
/// Each blob is an ellipsoid, half as high as wide; `keep`: the share of its sites that stay.
inline std::vector<test::site> lifted_sites(const std::array<idx, 3>& grid, double keep) {
  constexpr int blobs = 120;
  const auto draw = random_stream::of(20261121, 7), stay = random_stream::of(20261121, 8);
  std::vector<std::array<double, 4>> blob;
  for (int i = 0; i < blobs; ++i) {
    blob.push_back({draw.uniform(4 * i, 0, static_cast<double>(grid[0])),
                    draw.uniform(4 * i + 1, 0, static_cast<double>(grid[1])),
                    draw.uniform(4 * i + 2, 0, static_cast<double>(grid[2])), draw.uniform(4 * i + 3, 8, 22)});
  }
  std::vector<test::site> sites;
  idx cell = 0;
  for (int x = 0; x < grid[0]; ++x) {
    for (int y = 0; y < grid[1]; ++y) {
      for (int z = 0; z < grid[2]; ++z, ++cell) {
        bool inside = false;
        for (const auto& b : blob) {
          const double dx = x - b[0], dy = y - b[1], dz = 2 * (z - b[2]);
          inside = inside || dx * dx + dy * dy + dz * dz < b[3] * b[3];
        }
        if (inside && stay.uniform(cell) < keep) { sites.push_back({0, x, y, z}); }
      }
    }
  }
  return sites;
}

/// The workload of that name, made once.
inline const workload& get(const std::string& name) {
  static std::map<std::string, workload> made;
  auto& w = made[name];
  if (w.name.empty()) {
    w.name = name;
    w.grid = name == "frame" ? std::array<idx, 3>{1600, 1600, 80} : std::array<idx, 3>{200, 200, 16};
    w.sites = name == "frame" ? frame_sites() : lifted_sites(w.grid, name == "thin" ? 1.0 / 3 : 1.0);
    w.pairs = test::pairs_of(w.sites, w.sites, test::cube(3));
    w.plan = test::mirrored_plan_of(w.pairs, w.rows(), 27, 1024);
  }
  return w;
}

} // namespace workloads
