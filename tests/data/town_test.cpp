// SPDX-License-Identifier: Apache-2.0
#include <sqs/data/town.hpp>

#include <cstring>
#include <map>

#include <gtest/gtest.h>

namespace town_test {

using sqs::idx;
using sqs::occupancy_labels;
using sqs::town_dataset;
using sqs::town_frame;
using sqs::vec3;
namespace town = sqs::town;

constexpr int height = 90, width = 160;
sqs::town_options options(int threads = 1) {
  return {
      .split = sqs::town_split::val, .scenes = 3, .seconds = 2, .height = height, .width = width, .threads = threads};
}
const town_dataset& data() {
  static const town_dataset d(options(2));
  return d;
}
/// A frame in which the ego drives, and the next one.
const town_frame& frame(idx i) {
  static std::array<town_frame, 2> made{data().frame(5), data().frame(6)};
  return made[static_cast<std::size_t>(i)];
}
bool same(const std::vector<sqs::vec2<float>>& a, const std::vector<sqs::vec2<float>>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
}

TEST(town, gives_the_same_bits_for_any_number_of_threads_and_in_any_order) {
  const town_frame& a = frame(0);
  for (const int threads : {1, 3}) {
    const town_dataset again(options(threads));
    if (threads == 3) { (void)again.scene(2); }
    const town_frame b = again.frame(5);
    for (std::size_t v = 0; v < 6; ++v) {
      EXPECT_EQ(a.sample.views[v].picture, b.sample.views[v].picture);
      EXPECT_EQ(a.sample.exact_depth[v], b.sample.exact_depth[v]);
      EXPECT_EQ(a.semantics[v], b.semantics[v]);
      EXPECT_EQ(a.instance[v], b.instance[v]);
      EXPECT_TRUE(same(a.flow[v], b.flow[v]));
    }
    ASSERT_EQ(a.sample.lidar.points.size(), b.sample.lidar.points.size());
    EXPECT_EQ(
        std::memcmp(a.sample.lidar.points.data(), b.sample.lidar.points.data(), 12 * a.sample.lidar.points.size()), 0);
    EXPECT_EQ(a.sample.lidar.intensity, b.sample.lidar.intensity);
    EXPECT_EQ(a.occ3d.semantics, b.occ3d.semantics);
    EXPECT_EQ(a.occ3d.mask_camera, b.occ3d.mask_camera);
    EXPECT_EQ(a.occ3d.mask_lidar, b.occ3d.mask_lidar);
    EXPECT_EQ(a.surround_occ.semantics, b.surround_occ.semantics);
    EXPECT_TRUE(same(a.occ3d.flow, b.occ3d.flow));
    ASSERT_EQ(a.sample.boxes.size(), b.sample.boxes.size());
    for (std::size_t k = 0; k < a.sample.boxes.size(); ++k) {
      EXPECT_EQ(a.sample.boxes[k].center.x, b.sample.boxes[k].center.x);
      EXPECT_EQ(a.sample.boxes[k].visibility, b.sample.boxes[k].visibility);
      EXPECT_EQ(a.sample.boxes[k].instance, b.sample.boxes[k].instance);
    }
  }
}

TEST(town, pictures_show_what_a_loop_over_all_solids_meets) {
  const auto scene = data().scene(1);
  const town::stage stage = scene->stage_at(0.5);
  const auto T_town_cam = scene->T_town_ego(0.5) * town::T_ego_camera(0);
  const auto camera = town::intrinsics(0, height, width);
  int things = 0;
  for (int y = 3; y < height; y += 11) {
    for (int x = 2; x < width; x += 7) {
      const vec3<double> d = T_town_cam.rotation * camera.unproject({x + 0.5, y + 0.5}, 1.0);
      town::hit plain;
      if (d.z < 0) { plain.t = -T_town_cam.translation.z / d.z; } // the road
      for (const auto solids : {stage.still->solids(), stage.moving.solids()}) {
        for (const auto& s : solids) { town::meet(s, T_town_cam.translation, d, plain); }
      }
      const auto i = static_cast<std::size_t>(y * width + x);
      const float depth = frame(0).sample.exact_depth[0][i];
      ASSERT_EQ(depth, std::isfinite(plain.t) ? static_cast<float>(plain.t) : 0.0f) << x << ", " << y;
      ASSERT_EQ(frame(0).instance[0][i], plain.what == nullptr ? -1 : plain.what->instance);
      things += plain.what != nullptr ? 1 : 0;
    }
  }
  EXPECT_GT(things, 25);
}

TEST(town, depth_semantics_and_boxes_agree) {
  // What a pixel shows of an agent lies in that agent's box; a hand or a mirror may reach out.
  const town_frame& f = frame(0);
  int inside = 0, all = 0;
  for (std::size_t v = 0; v < 6; ++v) {
    const auto& view = f.sample.views[v];
    const auto T_ref_cam = inverse(view.T_cam_ref);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const auto i = static_cast<std::size_t>(y * width + x);
        if (f.instance[v][i] < 0) { continue; }
        const auto& token = f.instances[static_cast<std::size_t>(f.instance[v][i])];
        const auto p =
            T_ref_cam * view.camera.unproject({x + 0.5, y + 0.5}, static_cast<double>(f.sample.exact_depth[v][i]));
        if (std::hypot(p.x, p.y) > 60) { continue; }
        const auto b = std::find_if(f.sample.boxes.begin(), f.sample.boxes.end(),
                                    [&](const auto& k) { return k.instance == token; });
        ++all;
        if (b == f.sample.boxes.end()) { continue; } // a few pixels only
        const double c = std::cos(b->yaw), n = std::sin(b->yaw), dx = p.x - b->center.x, dy = p.y - b->center.y;
        const double margin = 0.2;
        inside += std::abs(c * dx + n * dy) <= b->size.x / 2 + margin &&
                          std::abs(c * dy - n * dx) <= b->size.y / 2 + margin &&
                          std::abs(p.z - b->center.z) <= b->size.z / 2 + margin
                      ? 1
                      : 0;
        const auto* category = sqs::find_nuscenes_category(b->category);
        ASSERT_NE(category, nullptr);
        ASSERT_EQ(f.semantics[v][i], category->occupancy);
      }
    }
  }
  EXPECT_GT(all, 200);
  EXPECT_GE(inside, 0.97 * all);
}

TEST(town, lidar_points_lie_on_their_beams_and_in_their_boxes) {
  const town_frame& f = frame(0);
  const auto& s = f.sample.lidar;
  ASSERT_EQ(s.points.size(), s.ring.size());
  ASSERT_EQ(s.points.size(), f.lidar_semantics.size());
  EXPECT_GT(s.points.size(), 20000u);
  EXPECT_LT(s.points.size(), 34688u);
  std::map<std::string, int> counted;
  int in_box = 0, on_agents = 0;
  for (std::size_t i = 0; i < s.points.size(); ++i) {
    const vec3<double> p(s.points[i]);
    const double range = length(p), elevation = std::asin(p.z / range) * 180 / 3.141592653589793;
    ASSERT_NEAR(elevation, -30.67 + 4.0 / 3 * s.ring[i], 1e-3);
    ASSERT_GT(range, 0.8);
    ASSERT_LT(range, 70.2);
    ASSERT_GE(s.intensity[i], 0);
    ASSERT_LE(s.intensity[i], 255);
    if (f.lidar_instance[i] < 0) { continue; }
    const auto& token = f.instances[static_cast<std::size_t>(f.lidar_instance[i])];
    ++counted[token];
    for (const auto& b : f.sample.boxes) {
      if (b.instance != token) { continue; }
      ++on_agents;
      const double c = std::cos(b.yaw), n = std::sin(b.yaw), dx = p.x - b.center.x, dy = p.y - b.center.y;
      in_box +=
          std::abs(c * dx + n * dy) <= b.size.x / 2 + 0.2 && std::abs(c * dy - n * dx) <= b.size.y / 2 + 0.2 ? 1 : 0;
    }
  }
  EXPECT_GT(on_agents, 300);
  EXPECT_GE(in_box, 0.98 * on_agents);
  for (const auto& b : f.sample.boxes) { EXPECT_EQ(b.lidar_points, counted[b.instance]); }
}

TEST(town, lidar_and_camera_measure_the_same_distance) {
  // The LiDAR's points, projected into the pictures, have the depth that the pixel has: two sensors, two code paths.
  const town_frame& f = frame(0);
  int close = 0, all = 0;
  for (const auto& view : f.sample.views) {
    const auto& depth = f.sample.exact_depth[static_cast<std::size_t>(&view - f.sample.views.data())];
    for (const auto& point : f.sample.lidar.points) {
      const auto p = view.T_cam_ref * vec3<double>(point);
      if (p.z < 1) { continue; }
      const auto q = view.camera.project(p);
      if (q.x < 0 || q.y < 0 || q.x >= width || q.y >= height) { continue; }
      const float d = depth[static_cast<std::size_t>(q.y) * width + static_cast<std::size_t>(q.x)];
      ++all;
      close += std::abs(static_cast<double>(d) - p.z) < 0.05 * p.z + 0.1 ? 1 : 0;
    }
  }
  EXPECT_GT(all, 8000);
  EXPECT_GT(close, 0.85 * all); // the sensors do not stand in one place: at edges they see different things
}

TEST(town, flow_leads_to_the_same_surface_in_the_next_key_frame) {
  const town_frame &a = frame(0), &b = frame(1);
  int right = 0, all = 0;
  double longest = 0;
  for (std::size_t v = 0; v < 6; ++v) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const auto i = static_cast<std::size_t>(y * width + x);
        const auto flow = a.flow[v][i];
        if (!std::isfinite(flow.x)) { continue; }
        const double u = x + 0.5 + static_cast<double>(flow.x), w = y + 0.5 + static_cast<double>(flow.y);
        if (u < 0 || w < 0 || u >= width || w >= height) { continue; }
        const auto j = static_cast<std::size_t>(w) * width + static_cast<std::size_t>(u);
        ++all;
        longest = std::max(longest, static_cast<double>(std::hypot(flow.x, flow.y)));
        right += a.semantics[v][i] == b.semantics[v][j] && a.instance[v][i] == b.instance[v][j] ? 1 : 0;
      }
    }
  }
  EXPECT_GT(all, 20000);
  EXPECT_GT(right, 0.9 * all);
  EXPECT_GT(longest, 5);
  // And without flow far fewer agree: the test can fail.
  int still = 0, pixels = 0;
  for (std::size_t i = 0; i < a.instance[4].size(); ++i) {
    if (a.instance[4][i] < 0) { continue; }
    ++pixels;
    still += a.instance[4][i] == b.instance[4][i] ? 1 : 0;
  }
  EXPECT_LT(still, 0.9 * pixels + 1);
}

TEST(town, voxels_hold_what_pixels_show) {
  // Every pixel's place lies in a filled voxel of its class, or of a neighbour it shares the voxel with; and the voxel is
  // seen by a camera.
  const town_frame& f = frame(0);
  const auto check = [&](const occupancy_labels& o, const sqs::se3<double>& T_grid_ref) {
    int all = 0, filled = 0, alike = 0, seen = 0, unseen = 0, explained = 0;
    for (std::size_t v = 0; v < 6; ++v) {
      const auto& view = f.sample.views[v];
      const auto T_grid_cam = T_grid_ref * inverse(view.T_cam_ref);
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
          const auto i = static_cast<std::size_t>(y * width + x);
          if (!(f.sample.exact_depth[v][i] > 0)) { continue; }
          const auto p =
              T_grid_cam * view.camera.unproject({x + 0.5, y + 0.5}, static_cast<double>(f.sample.exact_depth[v][i]));
          const idx at = o.grid.index_of(p);
          if (at < 0) { continue; }
          const auto k = static_cast<std::size_t>(at);
          ++all;
          filled += o.semantics[k] != o.free ? 1 : 0;
          alike += o.semantics[k] == f.semantics[v][i] ? 1 : 0;
          if (o.mask_camera[k] == 1) {
            ++seen;
          } else if (all % 7 == 0) { // a filled voxel is thicker than what fills it: one must stand before this
            const auto d = p - T_grid_cam.translation;
            bool hidden = false;
            for (double t = 0; t < 1 && !hidden; t += 0.01 / length(d)) {
              const idx before = o.grid.index_of(T_grid_cam.translation + t * d);
              hidden = before >= 0 && before != at && o.semantics[static_cast<std::size_t>(before)] != o.free;
            }
            ++unseen;
            explained += hidden ? 1 : 0;
          }
        }
      }
    }
    EXPECT_GT(all, 30000);
    EXPECT_GT(filled, 0.999 * all); // a corner may reach into a voxel without coming near one of its samples
    EXPECT_GT(alike, 0.95 * all);
    EXPECT_GT(seen, 0.75 * all);
    EXPECT_GT(explained, 0.98 * unseen);
  };
  check(f.occ3d, town::T_ego_lidar());
  check(f.surround_occ, {});
}

TEST(town, voxels_are_filled_exactly_where_solids_are) {
  const auto scene = data().scene(1);
  const town::stage stage = scene->stage_at(0.5);
  const auto T_town_ego = scene->T_town_ego(0.5);
  const occupancy_labels& o = frame(0).occ3d;
  const auto nearest = [&](const vec3<double>& p) { // to any solid; of a house to its walls
    double best = std::abs(p.z);
    for (const auto solids : {stage.still->solids(), stage.moving.solids()}) {
      for (const auto& s : solids) {
        const double d = distance_to(s, p);
        best = std::min(best, s.hollow && d < -0.3 ? -0.3 - d : std::max(d, 0.0));
      }
    }
    return best;
  };
  const sqs::random_stream r{17};
  int free = 0;
  for (idx k = 0; k < 400; ++k) {
    const vec3<double> p{r.uniform(3 * k, -38, 38), r.uniform(3 * k + 1, -38, 38), r.uniform(3 * k + 2, -0.9, 5)};
    const double d = nearest(T_town_ego * p);
    const auto label = o.semantics[static_cast<std::size_t>(o.grid.index_of(p))];
    if (d == 0) { EXPECT_NE(label, o.free) << p.x << " " << p.y << " " << p.z; }
    // Twice the half diagonal of a voxel, and the tolerance of 5 cm.
    if (d > 0.75) {
      EXPECT_EQ(label, o.free) << p.x << " " << p.y << " " << p.z;
      ++free;
    }
  }
  EXPECT_GT(free, 50);
}

TEST(town, boxes_move_as_their_velocity_says) {
  const town_frame &a = frame(0), &b = frame(1);
  int compared = 0;
  for (const auto& x : a.sample.boxes) {
    EXPECT_GE(x.visibility, 1);
    EXPECT_LE(x.visibility, 4);
    for (const auto& y : b.sample.boxes) {
      if (x.instance != y.instance) { continue; }
      ++compared;
      const auto p = a.sample.T_global_ref * x.center, q = b.sample.T_global_ref * y.center;
      const auto vx = a.sample.T_global_ref.rotation * vec3<double>{x.velocity.x, x.velocity.y, 0},
                 vy = b.sample.T_global_ref.rotation * vec3<double>{y.velocity.x, y.velocity.y, 0};
      // At most 6 m/s2 in half a second.
      EXPECT_NEAR(q.x - p.x, 0.25 * (vx.x + vy.x), 0.5);
      EXPECT_NEAR(q.y - p.y, 0.25 * (vx.y + vy.y), 0.5);
      EXPECT_EQ(x.size.x, y.size.x);
      if (x.attribute == "vehicle.parked") { EXPECT_LT(length(q - p), 1e-9); }
      if (x.attribute == "vehicle.moving") { EXPECT_GT(std::hypot(x.velocity.x, x.velocity.y), 0.1); }
    }
  }
  EXPECT_GT(compared, 15);
}

TEST(town, boxes_reach_75_metres) {
  double farthest = 0;
  int seen_beyond = 0;
  for (const int k : {0, 1}) {
    const town_frame& f = frame(k);
    for (const auto& b : f.sample.boxes) { farthest = std::max(farthest, std::hypot(b.center.x, b.center.y)); }
    for (std::size_t v = 0; v < 6; ++v) { // what is farther may be seen, and has no box
      const auto T_ref_cam = inverse(f.sample.views[v].T_cam_ref);
      for (std::size_t i = 0; i < f.instance[v].size(); ++i) {
        const int x = static_cast<int>(i) % width, y = static_cast<int>(i) / width;
        const auto p = T_ref_cam * f.sample.views[v].camera.unproject({x + 0.5, y + 0.5},
                                                                      static_cast<double>(f.sample.exact_depth[v][i]));
        seen_beyond += f.instance[v][i] >= 0 && std::hypot(p.x, p.y) > 85 ? 1 : 0;
      }
    }
  }
  EXPECT_LE(farthest, 75);
  EXPECT_GT(farthest, 65);
  EXPECT_GT(seen_beyond, 0);
}

TEST(town, the_future_is_where_the_ego_later_is) {
  const town_frame &a = frame(0), &b = frame(1);
  ASSERT_EQ(a.future.position.size(), 6u);
  const auto next = inverse(a.sample.T_global_ref) * b.sample.T_global_ref.translation;
  EXPECT_NEAR(a.future.position[0].x, next.x, 1e-9);
  EXPECT_NEAR(a.future.position[0].y, next.y, 1e-9);
  EXPECT_TRUE(std::all_of(a.future.valid.begin(), a.future.valid.end(), [](bool v) { return v; }));
}

} // namespace town_test
