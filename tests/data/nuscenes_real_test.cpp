// SPDX-License-Identifier: Apache-2.0
// Real driving data against numbers that an independent NumPy script (tools/nuscenes_golden.py) computed from it.
#include <sqs/data/nuscenes.hpp>
#include <sqs/sensor/class_set.hpp>
#include <sqs/sensor/network_input.hpp>
#include <sqs/sensor/visibility.hpp>
#include <sqs/tensor/json.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

namespace nuscenes_real_test {

namespace fs = std::filesystem;

fs::path data_root() {
  const char* given = std::getenv("SQS_DATA_DIR");
  return fs::path(given != nullptr ? given : SQS_TEST_DATA_DIR) / "pandaset-nuscenes";
}

class pandaset : public ::testing::Test {
protected:
  void SetUp() override {
    if (!fs::exists(data_root())) {
      GTEST_SKIP() << data_root() << " is absent: set SQS_DATA_DIR to the folder that holds pandaset-nuscenes";
    }
  }
  static sqs::json_value golden() {
    const fs::path path = fs::path(SQS_TEST_SOURCE_DIR) / "data/pandaset_golden.json";
    return sqs::parse_json(sqs::text_of(sqs::read_file(path)), path.string());
  }
};

/// Access by path in the golden numbers.
struct node {
  const sqs::json_value& v;
  std::string at = "golden";
  node operator[](const std::string& key) const { return {sqs::json_fields(v, at).get(key.c_str()), at + "." + key}; }
  node operator[](std::size_t i) const { return {v.as<sqs::json_value::array>()->at(i), sqs::concat(at, "[", i, "]")}; }
  double number() const {
    return v.as<double>() != nullptr ? *v.as<double>() : static_cast<double>(*v.as<std::int64_t>());
  }
  const std::string& text() const { return *v.as<std::string>(); }
  std::size_t size() const { return v.as<sqs::json_value::array>()->size(); }
};

TEST_F(pandaset, has_all_samples_boxes_and_points) {
  const auto json = golden();
  const sqs::nuscenes_dataset set(data_root());
  ASSERT_EQ(set.size(), 10);
  std::size_t boxes = 0, points = 0;
  std::int64_t before = 0;
  for (sqs::idx i = 0; i < set.size(); ++i) {
    const auto s = set.sample(i);
    boxes += s.boxes.size();
    points += s.lidar.points.size();
    EXPECT_EQ(s.scene, "scene-0002");
    EXPECT_NEAR(static_cast<double>(s.timestamp_us - before), 5e5, i == 0 ? 1e18 : 1e3);
    before = s.timestamp_us;
  }
  EXPECT_EQ(boxes, 932u);
  EXPECT_EQ(boxes, static_cast<std::size_t>((node{json})["boxes_in_all"].number()));
  EXPECT_EQ(points / 10, 106043u);
}

void expect_view(const sqs::camera_view& view, const sqs::lidar_sweep& lidar, const node& g) {
  EXPECT_EQ(view.name, g["channel"].text());
  EXPECT_EQ(static_cast<double>(view.timestamp_us), g["timestamp"].number());
  for (std::size_t r = 0; r < 3; ++r) {
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(view.T_cam_ref.rotation(static_cast<int>(r), static_cast<int>(c)), g["T_cam_ref"][r][c].number(),
                  1e-9);
    }
  }
  EXPECT_NEAR(view.T_cam_ref.translation.x, g["T_cam_ref"][0][3].number(), 1e-9);
  EXPECT_NEAR(view.T_cam_ref.translation.y, g["T_cam_ref"][1][3].number(), 1e-9);
  EXPECT_NEAR(view.T_cam_ref.translation.z, g["T_cam_ref"][2][3].number(), 1e-9);
  EXPECT_EQ(view.camera.fx, g["fx"].number());
  EXPECT_EQ(view.camera.cy, g["cy"].number());
  const auto small = sqs::prepared(view, sqs::fitting_plan(900, 1600, 176, 320));
  for (std::size_t c = 0; c < 3; ++c) {
    double mean = 0, small_mean = 0;
    for (std::size_t i = c; i < view.picture.pixels.size(); i += 3) { mean += view.picture.pixels[i]; }
    for (std::size_t i = c; i < small.picture.pixels.size(); i += 3) { small_mean += small.picture.pixels[i]; }
    // Decoders may round one level differently.
    EXPECT_NEAR(mean / (900 * 1600), g["mean_rgb"][c].number(), 0.05);
    EXPECT_NEAR(small_mean / (176 * 320), g["small_mean_rgb"][c].number(), 0.05);
    EXPECT_NEAR(view.picture.at(450, 800)[c], g["pixel_450_800"][c].number(), 2);
    EXPECT_NEAR(small.picture.at(88, 160)[c], g["small_88_160"][c].number(), 2);
  }
  const auto depth = sqs::lidar_depth(lidar.points, small.camera, small.T_cam_ref);
  double sum = 0, pixels = 0;
  for (const float d : depth) {
    sum += d;
    pixels += d > 0;
  }
  // A point on a pixel's edge may fall to either side by the last bit of its projection.
  EXPECT_NEAR(pixels, g["depth_pixels"].number(), 2);
  EXPECT_NEAR(sum, g["depth_sum"].number(), 1e-4 * sum);
}

void expect_box(const sqs::sample& s, const node& g) {
  for (const auto& b : s.boxes) {
    const sqs::vec3<double> d =
        b.center - sqs::vec3<double>{g["center"][0].number(), g["center"][1].number(), g["center"][2].number()};
    if (sqs::length(d) > 1e-6) { continue; }
    EXPECT_EQ(b.size.x, g["size"][0].number());
    EXPECT_EQ(b.size.y, g["size"][1].number());
    EXPECT_EQ(b.size.z, g["size"][2].number());
    EXPECT_NEAR(std::cos(b.yaw - g["yaw"].number()), 1, 1e-12);
    if (!g["velocity"].v.is_null()) {
      EXPECT_NEAR(b.velocity.x, g["velocity"][0].number(), 1e-6);
      EXPECT_NEAR(b.velocity.y, g["velocity"][1].number(), 1e-6);
    }
    EXPECT_EQ(b.category, g["category"].text());
    EXPECT_EQ(b.lidar_points, g["points"].number());
    return;
  }
  ADD_FAILURE() << "no box of " << s.token << " lies where " << g.at << " says";
}

TEST_F(pandaset, agrees_with_the_reference_numbers) {
  const auto json = golden();
  const sqs::nuscenes_dataset set(data_root());
  const node samples = (node{json})["samples"];
  for (std::size_t k = 0; k < samples.size(); ++k) {
    const node g = samples[k];
    const auto s = set.sample(static_cast<sqs::idx>(g["number"].number()));
    SCOPED_TRACE(s.token);
    EXPECT_EQ(s.token, g["token"].text());
    ASSERT_EQ(static_cast<double>(s.lidar.points.size()), g["points"].number());
    sqs::vec3<double> sum{};
    double intensity = 0, ring = 0;
    for (std::size_t i = 0; i < s.lidar.points.size(); ++i) {
      sum = sum + sqs::vec3<double>(s.lidar.points[i]);
      intensity += s.lidar.intensity[i];
      ring += s.lidar.ring[i];
    }
    EXPECT_NEAR(sum.x, g["point_sum"][0].number(), 1e-3);
    EXPECT_NEAR(sum.z, g["point_sum"][2].number(), 1e-3);
    EXPECT_NEAR(intensity, g["point_sum"][3].number(), 1e-3);
    EXPECT_EQ(ring, g["point_sum"][4].number());
    ASSERT_EQ(s.views.size(), 6u);
    for (std::size_t v = 0; v < 6; ++v) { expect_view(s.views[v], s.lidar, g["views"][v]); }
    sqs::vec3<double> centers{};
    double yaw = 0, known = 0;
    for (const auto& b : s.boxes) {
      centers = centers + b.center;
      yaw += std::cos(b.yaw);
      known += std::isfinite(b.velocity.x);
    }
    EXPECT_EQ(static_cast<double>(s.boxes.size()), g["boxes"].number());
    EXPECT_EQ(known, g["with_velocity"].number());
    EXPECT_NEAR(centers.x, g["center_sum"][0].number(), 1e-6);
    EXPECT_NEAR(centers.z, g["center_sum"][2].number(), 1e-6);
    EXPECT_NEAR(yaw, g["yaw_cos_sum"].number(), 1e-9);
    expect_box(s, g["first"]);
    expect_box(s, g["fastest"]);
  }
}

TEST_F(pandaset, boxes_and_points_have_the_counts_of_their_description) {
  const sqs::nuscenes_dataset set(data_root());
  std::map<std::string, int> attributes, classes;
  std::array<int, 5> visibility{};
  int empty = 0, boxes = 0, alike = 0;
  sqs::cpu exec{.threads = 2};
  for (sqs::idx i = 0; i < set.size(); ++i) {
    const auto s = set.sample(i);
    const auto inside = sqs::points_in_boxes(exec, s.boxes, s.lidar.points);
    for (std::size_t k = 0; k < s.boxes.size(); ++k) {
      const auto& b = s.boxes[k];
      ++attributes[b.attribute];
      ++visibility[static_cast<std::size_t>(b.visibility)];
      empty += b.lidar_points == 0;
      // The file counted with boxes upright in the world; ref is tilted by a few degrees: points on the edge differ.
      alike += std::abs(inside[k] - b.lidar_points) <= 2 + b.lidar_points / 10;
      ++boxes;
    }
    const auto labels = set.lidarseg(i, s.lidar.points.size());
    for (const auto l : labels) { ++classes[std::string(sqs::nuscenes_categories[l].name)]; }
  }
  EXPECT_EQ(attributes, (std::map<std::string, int>{{"vehicle.parked", 530},
                                                    {"vehicle.moving", 238},
                                                    {"pedestrian.moving", 65},
                                                    {"vehicle.stopped", 40},
                                                    {"cycle.with_rider", 10},
                                                    {"pedestrian.standing", 9},
                                                    {"", 40}}));
  EXPECT_EQ(visibility, (std::array<int, 5>{0, 357, 184, 134, 257}));
  EXPECT_EQ(empty, 106);
  EXPECT_GT(alike, boxes * 95 / 100);
  EXPECT_EQ(classes, (std::map<std::string, int>{{"static.manmade", 630686},
                                                 {"vehicle.car", 181235},
                                                 {"flat.driveable_surface", 147095},
                                                 {"static.vegetation", 33413},
                                                 {"vehicle.truck", 25586},
                                                 {"vehicle.construction", 16860},
                                                 {"flat.sidewalk", 15752},
                                                 {"noise", 6922},
                                                 {"human.pedestrian.adult", 1196},
                                                 {"vehicle.motorcycle", 925},
                                                 {"movable_object.trafficcone", 404},
                                                 {"flat.terrain", 185},
                                                 {"vehicle.trailer", 170},
                                                 {"flat.other", 7}}));
  for (std::size_t c = 0; c < set.tables().categories.size(); ++c) { // the numbers of its table are those of class_set
    const auto& category = set.tables().categories[c];
    if (category.index >= 0) {
      EXPECT_EQ(sqs::nuscenes_categories[static_cast<std::size_t>(category.index)].name, category.name);
    }
  }
}

/// One real key frame of nuScenes itself, as mmdet3d's demo has it.
TEST(nuscenes_frame, real_boxes_hold_the_points_the_devkit_counted) {
  const auto folder = data_root().parent_path() / "nuscenes-frame";
  if (!fs::exists(folder)) { GTEST_SKIP() << folder << " is absent"; }
  fs::path sweep_path, info_path;
  for (const auto& e : fs::directory_iterator(folder)) {
    if (e.path().extension() == ".bin") { sweep_path = e.path(); }
    if (e.path().extension() == ".json") { info_path = e.path(); }
  }
  const auto sweep = sqs::read_lidar(sweep_path);
  EXPECT_EQ(sweep.points.size(), 34688u);
  const auto json = sqs::parse_json(sqs::text_of(sqs::read_file(info_path)), info_path.string());
  const node info = (node{json})["data_list"][0]["instances"];
  std::vector<sqs::box3d> boxes(info.size());
  for (std::size_t k = 0; k < boxes.size(); ++k) {
    const node b = info[k]["bbox_3d"];
    boxes[k].center = {b[0].number(), b[1].number(), b[2].number()};
    boxes[k].size = {b[3].number(), b[4].number(), b[5].number()};
    boxes[k].yaw = b[6].number();
  }
  sqs::cpu exec{.threads = 2};
  const auto inside = sqs::points_in_boxes(exec, boxes, sweep.points);
  int same = 0, sum = 0, theirs = 0;
  for (std::size_t k = 0; k < boxes.size(); ++k) {
    const int counted = static_cast<int>(info[k]["num_lidar_pts"].number());
    same += inside[k] == counted, sum += inside[k], theirs += counted;
    EXPECT_NEAR(inside[k], counted, 2 + 0.15 * counted) << k;
  }
  EXPECT_GT(same, static_cast<int>(boxes.size()) / 2);
  EXPECT_NEAR(sum, theirs, 0.05 * theirs);
}

TEST_F(pandaset, becomes_a_network_input) {
  const sqs::nuscenes_dataset set(data_root());
  const auto in = sqs::make_network_input<float>(set.sample(0), sqs::fitting_plan(900, 1600, 176, 320));
  EXPECT_EQ(in.images.shape(), (sqs::extents<4>{6, 176, 320, 3}));
  for (sqs::idx v = 0; v < 6; ++v) {
    sqs::idx hits = 0;
    for (sqs::idx i = 0; i < 176 * 320; ++i) { hits += in.depth.data()[v * 176 * 320 + i] > 0; }
    EXPECT_GT(hits, 1000) << v;
  }
}

} // namespace nuscenes_real_test
