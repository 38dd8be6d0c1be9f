// SPDX-License-Identifier: Apache-2.0
// Occupancy metrics on real labels against a second implementation: tools/golden_metrics_rays.py. Counts are equal to
// the last ray.
#include "../support/check.hpp"

#include <sqs/data/occupancy_files.hpp>
#include <sqs/metric/occupancy_scores.hpp>
#include <sqs/metric/ray_iou.hpp>
#include <sqs/tensor/json.hpp>

namespace occupancy_golden_test {

using namespace sqs;
using namespace sqs::metric;

const std::filesystem::path data_folder = SQS_TEST_DATA_DIR;

json_value golden() {
  const std::filesystem::path path = std::string(SQS_TEST_SOURCE_DIR) + "/metric/golden/occupancy.json";
  const auto bytes = read_file(path);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}
double number(const json_value* v) {
  if (const auto* n = v->as<std::int64_t>()) { return static_cast<double>(*n); }
  return v->as<double>() == nullptr ? std::nan("") : *v->as<double>();
}
template <class Values> void expect_list(const Values& have, const json_value* want) {
  const auto& list = *want->as<json_value::array>();
  ASSERT_GE(have.size(), list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const double w = number(&list[i]), h = static_cast<double>(have[i]);
    if (std::isnan(w)) {
      EXPECT_TRUE(std::isnan(h)) << i;
    } else {
      EXPECT_NEAR(h, w, 1e-15) << i;
    }
  }
}
/// The labels, spoilt by the rule of the tool.
occupancy_labels damaged(const occupancy_labels& truth) {
  occupancy_labels out = truth;
  const auto& size = truth.grid.size;
  const auto free = static_cast<std::uint8_t>(truth.free);
  for (int x = 0; x < size[0]; ++x) {
    for (int y = 0; y < size[1]; ++y) {
      for (int z = 0; z < size[2]; ++z) {
        std::uint8_t& v = out.semantics[static_cast<std::size_t>(truth.grid.index(x, y, z))];
        if (y % 2 == 1) {
          v = x == 0 ? free : truth.semantics[static_cast<std::size_t>(truth.grid.index(x - 1, y, z))];
        }
        if ((7 * x + 3 * y + z) % 11 == 0 && v != free) { v = static_cast<std::uint8_t>((v + 3) % free); }
        if ((x + 5 * y + 2 * z) % 13 == 0) { v = free; }
        if ((x * 31 + y * 17 + z * 7) % 997 == 0) { v = 4; }
      }
    }
  }
  return out;
}
std::vector<vec3<double>> origins(int n) {
  std::vector<vec3<double>> o;
  for (int i = 0; i < n; ++i) { o.push_back({0.9858 + 4.0 * i - 12.0, 0.25 * i - 0.75, 1.84}); }
  return o;
}
void expect_rays(const ray_counts& counts, const ray_iou_config& config, const json_value& want,
                 double flow_tolerance) {
  expect_list(counts.truth, want.find("truth"));
  expect_list(counts.predicted, want.find("predicted"));
  for (std::size_t d = 0; d < 3; ++d) {
    expect_list(counts.right[d], &(*want.find("right")->as<json_value::array>())[d]);
  }
  const auto s = score_rays(counts, config);
  EXPECT_NEAR(s.ray_iou, number(want.find("ray_iou")), 1e-15);
  expect_list(s.at, want.find("at"));
  if (!want.find("mave_tp")->is_null()) {
    EXPECT_NEAR(s.mave_tp, number(want.find("mave_tp")), flow_tolerance);
    EXPECT_NEAR(s.mave_all, number(want.find("mave_all")), flow_tolerance);
  }
}

TEST(occupancy_golden, occ3d_sample) {
  const auto file = data_folder / "occ3d-nuscenes-sample/29796060110c4163b07f06eff4af0753/labels.npz";
  if (!std::filesystem::exists(file)) { GTEST_SKIP() << file << " is not here"; }
  const auto want = golden();
  const auto truth = read_occ3d(file);
  const auto found = damaged(truth);
  const std::pair<occupancy_mask, const char*> masks[] = {
      {occupancy_mask::camera, "camera"}, {occupancy_mask::lidar, "lidar"}, {occupancy_mask::none, "none"}};
  for (const auto& [mask, name] : masks) {
    cpu exec{.threads = 2};
    auto counts = make_counts(occ3d_protocol);
    add_voxels(exec, counts, truth, found.semantics, mask);
    const auto s = score_occupancy(counts, occ3d_protocol);
    expect_list(s.iou, want.find("occ3d")->find(name)->find("iou"));
    EXPECT_NEAR(s.miou, number(want.find("occ3d")->find(name)->find("miou")), 1e-15);
    EXPECT_NEAR(s.geometric_iou, number(want.find("occ3d")->find(name)->find("geometric_iou")), 1e-15);
  }
  ray_counts first(17);
  for (const int threads : {1, 2, 3}) {
    cpu exec{.threads = threads};
    ray_counts counts(17);
    add_rays(exec, counts, truth, found, origins(8), occ3d_rays());
    if (threads == 1) { first = counts; }
    EXPECT_EQ(counts.right, first.right);
  }
  expect_rays(first, occ3d_rays(), *want.find("occ3d_rays"), 0);
}

TEST(occupancy_golden, open_occ_with_flow) {
  const auto folder = data_folder / "pandaset-nuscenes/openocc_v2/scene-0002";
  if (!std::filesystem::exists(folder)) { GTEST_SKIP() << folder << " is not here"; }
  const auto want = golden();
  std::vector<std::filesystem::path> tokens;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) { tokens.push_back(entry.path()); }
  std::sort(tokens.begin(), tokens.end());
  tokens.resize(3);
  auto exact = open_occ_rays(), half = open_occ_rays();
  half.quantize_f16 = true;
  std::vector<ray_counts> by_threads;
  for (const int threads : {1, 2, 3}) {
    cpu exec{.threads = threads};
    ray_counts rays(16), rays_half(16);
    auto counts = make_counts(open_occ_protocol);
    for (const auto& token : tokens) {
      const auto truth = read_open_occ(token / "labels.npz");
      auto found = damaged(truth);
      for (std::size_t i = 0; i < found.flow.size(); ++i) {
        const auto cell = truth.grid.cell(static_cast<idx>(i));
        if ((cell[0] + cell[1]) % 2 == 0) { found.flow[i] = found.flow[i] + vec2<float>{0.25f, -0.5f}; }
      }
      // Two parts of the split, counted apart and put together.
      ray_counts part(16);
      add_rays(exec, part, truth, found, origins(3), exact);
      rays.merge(part);
      if (threads == 2) {
        add_rays(exec, rays_half, truth, found, origins(3), half);
        add_voxels(exec, counts, truth, found.semantics, occupancy_mask::none);
      }
    }
    by_threads.push_back(rays);
    if (threads != 2) { continue; }
    // numpy adds single-precision numbers there in double as well, in another order.
    expect_rays(rays, exact, *want.find("open_occ_rays"), 1e-12);
    expect_rays(rays_half, half, *want.find("open_occ_rays_f16"), 1e-12);
    std::vector<std::int64_t> right, true_voxels(17), found_voxels(17);
    for (int t = 0; t < 17; ++t) {
      right.push_back(counts.at(t, t));
      for (int p = 0; p < 17; ++p) {
        true_voxels[static_cast<std::size_t>(t)] += counts.at(t, p);
        found_voxels[static_cast<std::size_t>(t)] += counts.at(p, t);
      }
    }
    expect_list(right, want.find("open_occ")->find("diagonal"));
    expect_list(true_voxels, want.find("open_occ")->find("truth"));
    expect_list(found_voxels, want.find("open_occ")->find("predicted"));
  }
  for (const auto& rays : by_threads) {
    EXPECT_EQ(rays.hit_error, by_threads[0].hit_error); // bit for bit
    EXPECT_EQ(rays.all_error, by_threads[0].all_error);
    EXPECT_EQ(rays.right, by_threads[0].right);
  }
}

} // namespace occupancy_golden_test
