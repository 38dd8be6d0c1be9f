// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A data set that is computed: streets drawn from a seed, seen by six cameras and a spinning LiDAR. It needs no files,
/// has exact depth, and any size.

#include <sqs/data/dataset.hpp>
#include <sqs/data/ray_caster.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/sensor/preprocess.hpp>

#include <numbers>

namespace sqs {

/// A camera and where it is mounted, before any resize.
struct mounted_camera {
  const char* name;
  double x, y, z, yaw_degrees; ///< in ego: x forward, y left, z up, on the ground below the rear axle
  double focal, cx, cy;        ///< pixels, for 900 x 1600
};

/// A rig like that of nuScenes: five cameras of 64 degrees, one of 90 degrees to the back. Rounded numbers.
inline constexpr std::array<mounted_camera, 6> surround_rig{
    {{"CAM_FRONT", 1.70, 0.02, 1.51, 0, 1266, 816, 491},
     {"CAM_FRONT_RIGHT", 1.55, -0.49, 1.50, -56, 1260, 807, 495},
     {"CAM_FRONT_LEFT", 1.52, 0.49, 1.51, 55, 1272, 826, 479},
     {"CAM_BACK", 0.03, 0.00, 1.58, 180, 809, 829, 481},
     {"CAM_BACK_LEFT", 1.04, 0.48, 1.59, 108, 1256, 792, 492},
     {"CAM_BACK_RIGHT", 1.01, -0.48, 1.56, -110, 1259, 807, 501}}};

struct procedural_options {
  std::uint64_t seed = 1;
  idx scenes = 8;
  idx samples_per_scene = 1;      ///< half a second apart; everybody moves
  int height = 900, width = 1600; ///< of the images; the intrinsics follow as by `fitting_plan`
  int rays_per_axis = 2;          ///< per pixel, averaged: 2 is four rays
  int threads = 1;                ///< of one `sample` call; the result does not depend on it
};

/// Streets with buildings, parked and moving cars, people, trees, poles and cones.
///
/// Units       ref is the LiDAR frame: x right, y forward, z up, 1.84 m above the ground. `exact_depth` is the camera z
///             at each pixel's centre, 0 for the sky. All sensors expose at the same moment.
/// Execution   `sample` is const and thread-safe; the same options and index give the same bits.
/// Errors      precondition_error for an index out of range or a size that is not positive.
/// Cost        one ray per LiDAR beam and 1 + rays_per_axis^2 per pixel; about 0.2 s for 6 x 176 x 320 on one core.
class procedural_dataset {
public:
  static constexpr double lidar_height = 1.84;

  explicit procedural_dataset(procedural_options options = {}) : options_(options) {
    expects(options.scenes > 0 && options.samples_per_scene > 0 && options.height > 0 && options.width > 0 &&
                options.rays_per_axis > 0,
            "sqs::procedural_dataset: ", options.scenes, " scenes of ", options.samples_per_scene, " samples, ",
            options.height, " x ", options.width, " pixels of ", options.rays_per_axis, " rays; all must be positive");
  }

  idx size() const { return options_.scenes * options_.samples_per_scene; }
  const procedural_options& options() const { return options_; }

  sqs::sample sample(idx i) const {
    expects(i >= 0 && i < size(), "sqs::procedural_dataset: sample ", i, " of ", size(), "; give 0 .. size() - 1");
    const idx scene_index = i / options_.samples_per_scene, step = i % options_.samples_per_scene;
    const double seconds = 0.5 * static_cast<double>(step);
    const street_scene street = make_street(options_.seed, scene_index, seconds);
    sqs::sample s;
    s.scene = concat("street-", options_.seed, "-", scene_index);
    s.token = concat(s.scene, "-", step);
    s.timestamp_us = 500'000 * step;
    const se3<double> T_global_ego{mat3<double>::identity(), {street_speed * seconds, -street.road_half / 3.2, 0}};
    se3<double> T_ego_ref = yaw_rotation(-std::numbers::pi / 2);
    T_ego_ref.translation = {0.94, 0, lidar_height};
    s.T_global_ref = T_global_ego * T_ego_ref;
    std::vector<int> points_on_actor(street.actors.size());
    sweep(street, s.T_global_ref, s.lidar, points_on_actor);
    for (const auto& mounted : surround_rig) { add_view(street, mounted, T_global_ego, s); }
    add_boxes(street, points_on_actor, s);
    return s;
  }

private:
  void add_view(const street_scene& street, const mounted_camera& m, const se3<double>& T_global_ego,
                sqs::sample& s) const {
    const double yaw = m.yaw_degrees * std::numbers::pi / 180, c = std::cos(yaw), n = std::sin(yaw);
    const se3<double> T_ego_cam{{{n, 0, c, -c, 0, n, 0, -1, 0}}, {m.x, m.y, m.z}};
    const auto plan = fitting_plan(900, 1600, options_.height, options_.width);
    camera_view v{.name = m.name,
                  .picture = image(options_.height, options_.width),
                  .camera = {},
                  .T_cam_ref = pose_through_global(T_global_ego, T_ego_cam, s.T_global_ref),
                  .timestamp_us = s.timestamp_us};
    const image_transform<double> fit{plan.scale, plan.scale, -static_cast<double>(plan.crop_x),
                                      -static_cast<double>(plan.crop_y)};
    v.camera = transformed(pinhole_camera<double>{m.focal, m.focal, m.cx, m.cy, 1600, 900}, fit, options_.width,
                           options_.height);
    std::vector<float> depth(static_cast<std::size_t>(options_.height) * static_cast<std::size_t>(options_.width));
    render(street, v, T_global_ego * T_ego_cam, depth);
    s.views.push_back(std::move(v));
    s.exact_depth.push_back(std::move(depth));
  }

  /// Tiles of 16 x 16 pixels: small enough that few solids lie in the cone of each.
  void render(const street_scene& street, camera_view& v, const se3<double>& T_global_cam,
              std::vector<float>& depth) const {
    constexpr int side = 16;
    const auto& cam = v.camera;
    const auto ray = [&](double x, double y) {
      return T_global_cam.rotation * vec3<double>{(x - cam.cx) / cam.fx, (y - cam.cy) / cam.fy, 1.0};
    };
    const int down = (cam.height + side - 1) / side, across = (cam.width + side - 1) / side,
              rays = options_.rays_per_axis;
    const double spread = 1 / (cam.fx * rays);
    cpu exec{.threads = options_.threads};
    parallel_for(exec, idx{down} * across, 8, [&](idx begin, idx end) {
      for (idx tile = begin; tile < end; ++tile) {
        const int top = static_cast<int>(tile / across) * side, left = static_cast<int>(tile % across) * side;
        const int bottom = std::min(top + side, cam.height), right = std::min(left + side, cam.width);
        const vec3<double> axis = normalized(ray((left + right) / 2.0, (top + bottom) / 2.0));
        double least = 1; // cosine to the farthest corner
        for (const int x : {left, right}) {
          for (const int y : {top, bottom}) { least = std::min(least, dot(axis, normalized(ray(x, y)))); }
        }
        const ray_bundle bundle(street, T_global_cam.translation, axis, std::acos(least) + 1e-6);
        for (int y = top; y < bottom; ++y) {
          for (int x = left; x < right; ++x) {
            vec3<double> sum{};
            for (int k = 0; k < rays * rays; ++k) {
              const vec3<double> d = ray(x + (k % rays + 0.5) / rays, y + (k / rays + 0.5) / rays);
              sum = sum + bundle.shade(bundle.cast(d), d, spread);
            }
            const double t = bundle.cast(ray(x + 0.5, y + 0.5)).t; // d has camera z = 1, so t is the depth
            depth[static_cast<std::size_t>(y) * static_cast<std::size_t>(cam.width) + static_cast<std::size_t>(x)] =
                std::isfinite(t) ? static_cast<float>(t) : 0.0f;
            const double scale = 255.0 / (rays * rays);
            std::uint8_t* to = v.picture.at(y, x);
            for (const double value : {sum.x, sum.y, sum.z}) {
              *to++ = static_cast<std::uint8_t>(std::clamp(value * scale, 0.0, 255.0) + 0.5);
            }
          }
        }
      }
    });
  }

  /// 32 beams from -30.67 to 10.67 degrees, 1084 firings per turn, 1 .. 70 m: the figures of the sensor of nuScenes.
  void sweep(const street_scene& street, const se3<double>& T_global_ref, lidar_sweep& out,
             std::vector<int>& points_on_actor) const {
    constexpr int beams = 32, firings = 1084, block = 16;
    const double degree = std::numbers::pi / 180, low = -30.67 * degree, step = 4.0 / 3 * degree,
                 turn = 2 * std::numbers::pi / firings;
    const auto direction = [](double azimuth, double elevation) {
      return vec3<double>{std::sin(azimuth) * std::cos(elevation), std::cos(azimuth) * std::cos(elevation),
                          std::sin(elevation)};
    };
    for (int first = 0; first < firings; first += block) {
      const int last = std::min(first + block, firings);
      const vec3<double> axis = direction(turn * (first + last - 1) / 2.0, low + step * (beams - 1) / 2.0);
      double least = 1;
      for (const int f : {first, last - 1}) {
        for (const int b : {0, beams - 1}) { least = std::min(least, dot(axis, direction(turn * f, low + step * b))); }
      }
      const ray_bundle bundle(street, T_global_ref.translation, T_global_ref.rotation * axis, std::acos(least) + 1e-6);
      for (int f = first; f < last; ++f) {
        for (int b = 0; b < beams; ++b) {
          const vec3<double> d = direction(turn * f, low + step * b), world = T_global_ref.rotation * d;
          const ray_hit hit = bundle.cast(world, 70);
          if (!std::isfinite(hit.t) || hit.t < 1) { continue; }
          const vec3<double> colour = bundle.shade(hit, world, 0.003);
          out.points.push_back(static_cast<vec3<float>>(hit.t * d));
          out.intensity.push_back(static_cast<float>(std::clamp(85 * (colour.x + colour.y + colour.z), 0.0, 255.0)));
          out.ring.push_back(b);
          if (hit.what != nullptr && hit.what->actor >= 0) {
            ++points_on_actor[static_cast<std::size_t>(hit.what->actor)];
          }
        }
      }
    }
  }

  static void add_boxes(const street_scene& street, const std::vector<int>& points, sqs::sample& s) {
    const se3<double> T_ref_global = inverse(s.T_global_ref);
    const double turn = std::atan2(T_ref_global.rotation(1, 0), T_ref_global.rotation(0, 0));
    for (std::size_t a = 0; a < street.actors.size(); ++a) {
      const auto& actor = street.actors[a];
      const vec3<double> v = T_ref_global.rotation * vec3<double>{actor.velocity.x, actor.velocity.y, 0};
      s.boxes.push_back({.center = T_ref_global * actor.center,
                         .size = actor.size,
                         .yaw = std::remainder(actor.yaw + turn, 2 * std::numbers::pi),
                         .velocity = {v.x, v.y},
                         .category = actor.category,
                         .instance = concat(s.scene, "-", a),
                         .lidar_points = points[a]});
    }
  }

  procedural_options options_;
};

static_assert(dataset<procedural_dataset>);

} // namespace sqs
