// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// LiDAR sweep -> sparse depth image, the target of the depth loss.

#include <sqs/sensor/sample.hpp>

#include <span>

namespace sqs {

/// Which returns count. Metres.
struct lidar_depth_options {
  double min_depth = 1, max_depth = 60; ///< camera-frame z, both ends included
  double ego_radius = 3.5;              ///< returns nearer to the sensor than this, in xy, hit the recording vehicle
};

/// The depth image of one view: camera-frame z of the nearest return per pixel, 0 where none falls.
///
/// Shapes      height * width of `camera`, row-major.
/// Units       points in ref, metres; a point at (u, v) belongs to pixel (floor u, floor v).
/// Errors      precondition_error for a camera with singular intrinsics or an empty image.
/// Source      SQS (arXiv 2509.16588) section 3: depth of valid LiDAR pixels; nearest wins as in GaussianPretrain.
inline std::vector<float> lidar_depth(const std::vector<vec3<float>>& points, const pinhole_camera<double>& camera,
                                      const se3<double>& T_cam_ref, const lidar_depth_options& options = {}) {
  checked(camera, "the camera of a depth image");
  std::vector<float> depth(static_cast<std::size_t>(camera.width) * static_cast<std::size_t>(camera.height), 0.0f);
  const double ego = options.ego_radius * options.ego_radius;
  for (const auto& point : points) {
    const vec3<double> p(point);
    if (!(p.x * p.x + p.y * p.y >= ego)) { continue; } // NaN fails the comparison and is dropped too
    const vec3<double> c = T_cam_ref * p;
    if (!(c.z >= options.min_depth && c.z <= options.max_depth)) { continue; }
    const vec2<double> pixel = camera.project(c);
    if (!(pixel.x >= 0 && pixel.y >= 0 && pixel.x < camera.width && pixel.y < camera.height)) { continue; }
    const auto column = static_cast<std::size_t>(pixel.x), row = static_cast<std::size_t>(pixel.y);
    float& d = depth[row * static_cast<std::size_t>(camera.width) + column];
    const auto z = static_cast<float>(c.z);
    if (d == 0.0f || z < d) { d = z; }
  }
  return depth;
}

/// Which pixel a point at (u, v) belongs to: the one it lies in, the one whose index is nearest (ties to even, as NumPy
/// rounds), or the integer part (so that -0.5 falls into pixel 0).
enum class pixel_rule { floor, nearest, truncate };
/// Which of several returns a pixel keeps.
enum class depth_winner { nearest, last };

/// How a data pipeline makes depth images. The presets are those of the published ones.
struct depth_map_options {
  double min_depth = 0, max_depth = 1e9; ///< metres: above the first (or at it: `include_min`), below the second
  bool include_min = false;
  double ego_radius = 0;     ///< as in `lidar_depth_options`
  double source_border = -1; ///< pixels: a point must lie farther inside the source image than this; negative: no check
  pixel_rule pixel = pixel_rule::floor;
  depth_winner winner = depth_winner::nearest;

  /// BEVDepth, FB-OCC, VoxelSplat.
  static constexpr depth_map_options bev_depth() { return {.min_depth = 2, .max_depth = 42, .include_min = true}; }
  /// SemanticKITTI in MonoScene's descendants and SparseOcc.
  static constexpr depth_map_options semantic_kitti() { return {.pixel = pixel_rule::nearest}; }
  /// OpenOccupancy, SparseOcc on nuScenes: later points overwrite.
  static constexpr depth_map_options open_occupancy() {
    return {.source_border = 1, .pixel = pixel_rule::truncate, .winner = depth_winner::last};
  }
};

/// The depth image of an augmented view: points go through the 4 x 4 `projection` of the source image (ref -> (u z, v
/// z, z, 1)), then through `image`, a map of pixels as `image_matrix` makes; 0 where no return falls.
///
/// Shapes      height * width, row-major
/// Execution   one thread, points in order.
/// Source      spec of SparseOcc 13.1 and 13.2, of VoxelSplat 2.3.3.
inline std::vector<float> depth_map(const std::vector<vec3<float>>& points, const mat4<double>& projection,
                                    const mat3<double>& image, int source_height, int source_width, int height,
                                    int width, const depth_map_options& options = {}) {
  expects(height > 0 && width > 0 && source_height > 0 && source_width > 0, "sqs::depth_map: from ", source_height,
          " x ", source_width, " to ", height, " x ", width, " pixels; give positive sizes");
  std::vector<float> depth(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0.0f);
  const auto row = [&](int r, const vec3<double>& p) {
    return projection(r, 0) * p.x + projection(r, 1) * p.y + projection(r, 2) * p.z + projection(r, 3);
  };
  const auto index = [&](double v) {
    return options.pixel == pixel_rule::floor     ? std::floor(v)
           : options.pixel == pixel_rule::nearest ? std::nearbyint(v)
                                                  : std::trunc(v);
  };
  for (const auto& point : points) {
    const vec3<double> p(point);
    if (!(p.x * p.x + p.y * p.y >= options.ego_radius * options.ego_radius)) { continue; }
    const double z = row(2, p), u = row(0, p) / z, v = row(1, p) / z;
    if (!(z > options.min_depth || (options.include_min && z == options.min_depth)) || !(z < options.max_depth)) {
      continue;
    }
    const double b = options.source_border;
    if (b >= 0 && !(u > b && u < source_width - b && v > b && v < source_height - b)) { continue; }
    const double x = index(image(0, 0) * u + image(0, 1) * v + image(0, 2));
    const double y = index(image(1, 0) * u + image(1, 1) * v + image(1, 2));
    if (!(x >= 0 && y >= 0 && x < width && y < height)) { continue; }
    float& d = depth[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
    const auto metres = static_cast<float>(z);
    if (d == 0.0f || options.winner == depth_winner::last || metres < d) { d = metres; }
  }
  return depth;
}

/// The smallest depth in each block of `block` x `block` pixels that has any, else 0.
///
/// Shapes      depth: height * width -> (height / block) * (width / block)
/// Errors      precondition_error unless `block` divides both.
inline std::vector<float> block_minimum(std::span<const float> depth, int height, int width, int block = 16) {
  expects(block > 0 && height > 0 && width > 0 && height % block == 0 && width % block == 0 &&
              depth.size() == static_cast<std::size_t>(height) * static_cast<std::size_t>(width),
          "sqs::block_minimum: ", depth.size(), " values of an image of ", height, " x ", width, " in blocks of ",
          block, "; the size must be a multiple of the block");
  const int columns = width / block;
  std::vector<float> out(static_cast<std::size_t>(height / block) * static_cast<std::size_t>(columns), 0.0f);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float d =
          depth[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
      float& m = out[static_cast<std::size_t>(y / block) * static_cast<std::size_t>(columns) +
                     static_cast<std::size_t>(x / block)];
      if (d > 0 && (m == 0.0f || d < m)) { m = d; }
    }
  }
  return out;
}

/// Depths -> numbers of bins, -1 for none. Bin k is labelled for depths in [origin + (k + 1) step, origin + (k + 2)
/// step).
///
/// Source      FB-OCC and VoxelSplat: origin = first - step (spec 2.3.3). SparseOcc, OpenOccupancy: origin = first -
///             step / 2, which labels bins half a metre behind where the frustum has them (spec 4.6); kept for its
///             weights.
inline std::vector<int> depth_bins(std::span<const float> depth, double origin, double step, int bins) {
  expects(step > 0 && bins > 0, "sqs::depth_bins: ", bins, " bins of ", step, " m; give positive numbers");
  std::vector<int> out;
  out.reserve(depth.size());
  for (const float d : depth) {
    const double s = (static_cast<double>(d) - origin) / step;
    out.push_back(d > 0 && s >= 0 && s < bins + 1 ? static_cast<int>(s) - 1 : -1);
  }
  return out;
}

} // namespace sqs
