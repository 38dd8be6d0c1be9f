// SPDX-License-Identifier: Apache-2.0
#pragma once
// What a fit starts from, the cameras of its turntable and the page that shows it.

#include <sqs/gaussian/from_points.hpp>
#include <sqs/pipeline/pictures.hpp>
#include <sqs/sensor/network_input.hpp>
#include <sqs/sensor/rig.hpp>

// Pictures that stand side by side under one title.
struct shown_row {
  std::string title;
  std::vector<std::string> files;
};

// The height of the road: 2 of 100 points around the vehicle lie below it.
inline float ground_height(const std::vector<sqs::vec3<float>>& points) {
  std::vector<float> z;
  for (const auto& p : points) {
    if (std::hypot(p.x, p.y) > 4 && std::hypot(p.x, p.y) < 20) { z.push_back(p.z); }
  }
  if (z.empty()) { return -1.8f; }
  const auto low = z.begin() + static_cast<std::ptrdiff_t>(z.size() / 50);
  std::nth_element(z.begin(), low, z.end());
  return *low;
}

// A Gaussian at each LiDAR point that some camera sees, in the colour of its pixel and as wide as points lie apart.
inline void add_lidar_points(sqs::cpu& exec, const sqs::sample& s, const sqs::network_input<float>& in,
                             sqs::gaussian_cloud& cloud) {
  std::vector<sqs::vec3<float>> points, colours;
  for (const auto& p : s.lidar.points) {
    if (!(std::hypot(p.x, p.y) > 3.5f)) { continue; } // the recording vehicle itself
    for (std::size_t v = 0; v < in.cameras.size(); ++v) {
      const auto c = in.T_cam_ref[v] * p;
      const auto pixel = in.cameras[v].project(c);
      if (!(c.z > 0.5f && pixel.x >= 0 && pixel.y >= 0 && pixel.x < static_cast<float>(in.cameras[v].width) &&
            pixel.y < static_cast<float>(in.cameras[v].height))) {
        continue;
      }
      const float* rgb = &in.rgb(static_cast<sqs::idx>(v), static_cast<int>(pixel.y), static_cast<int>(pixel.x), 0);
      points.push_back(p);
      colours.push_back({rgb[0], rgb[1], rgb[2]});
      break;
    }
  }
  const auto apart = sqs::neighbour_distances(exec, points);
  for (std::size_t i = 0; i < points.size(); ++i) {
    sqs::add_round_gaussian(cloud, points[i], std::clamp(apart[i], 0.01f, 1.0f), colours[i], 0.3f);
  }
}

// What the LiDAR does not see: for each cell of an image without a return, a Gaussian on the road if the cell looks down
// on it nearby, else on a far shell (sky, upper floors).
inline void add_unseen(const sqs::network_input<float>& in, float ground, sqs::gaussian_cloud& cloud) {
  constexpr float road_reach = 50, shell = 100;
  for (sqs::idx v = 0; v < in.rgb.extent(0); ++v) {
    const auto& camera = in.cameras[static_cast<std::size_t>(v)];
    const auto T_ref_cam = inverse(in.T_cam_ref[static_cast<std::size_t>(v)]);
    const int cell = std::max(2, camera.width / 80);
    for (int y = 0; y + cell <= camera.height; y += cell) {
      for (int x = 0; x + cell <= camera.width; x += cell) {
        sqs::vec3<float> colour{};
        bool seen = false;
        for (int k = 0; k < cell * cell; ++k) {
          const int row = y + k / cell, column = x + k % cell;
          seen = seen || in.depth(v, row, column) > 0;
          const float* rgb = &in.rgb(v, row, column, 0);
          colour = colour + 1.0f / static_cast<float>(cell * cell) * sqs::vec3<float>{rgb[0], rgb[1], rgb[2]};
        }
        if (seen) { continue; }
        const float half = 0.5f * static_cast<float>(cell);
        const auto ray =
            T_ref_cam.rotation * camera.unproject({static_cast<float>(x) + half, static_cast<float>(y) + half}, 1.0f);
        const float down = (ground - T_ref_cam.translation.z) / ray.z;
        const bool on_road = ray.z < 0 && down * length(ray) < road_reach;
        const float z = on_road ? down : shell / length(ray);
        sqs::add_round_gaussian(cloud, T_ref_cam.translation + z * ray,
                                0.6f * static_cast<float>(cell) * z / std::abs(camera.fx), colour, 0.5f);
      }
    }
  }
}

// Cameras on a circle of a metre around the LiDAR, each looking outwards, ahead first, then clockwise.
inline sqs::camera_rig<float> turntable(int views, int width, int height) {
  sqs::camera_rig<float> rig;
  const float w = static_cast<float>(width), h = static_cast<float>(height);
  for (int v = 0; v < views; ++v) {
    const double angle = 2 * 3.14159265358979 * v / views, s = std::sin(angle), c = std::cos(angle);
    const sqs::mat3<float> R(sqs::mat3<double>{{c, -s, 0, 0, 0, -1, s, c, 0}}); // right, down, outwards
    rig.add({0.9f * w, 0.9f * w, 0.5f * w, 0.5f * h, width, height},
            {R, R * sqs::vec3<float>{static_cast<float>(-s), static_cast<float>(-c), 0.3f}});
  }
  return rig;
}

// Text for a page: names of scenes come from files.
inline std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) { out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c); }
  return out;
}

inline std::string page(const std::string& title, const std::vector<std::pair<std::string, std::string>>& facts,
                        const std::vector<shown_row>& rows) {
  std::string out = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>" + title +
                    "</title><style>body{font:15px/1.5 sans-serif;max-width:1500px;margin:2em auto;padding:0 1em}"
                    "td,th{padding:.2em .8em;text-align:left}img{width:32%;margin:.3%}</style><h1>" +
                    title + "</h1><table>";
  for (const auto& [name, value] : facts) {
    out += "<tr><th>" + escaped(name) + "</th><td>" + escaped(value) + "</td></tr>";
  }
  out += "</table>";
  for (const auto& row : rows) {
    out += "<h3>" + row.title + "</h3>";
    for (const auto& file : row.files) { out += "<img src=\"" + file + "\" alt=\"" + file + "\">"; }
  }
  return out + "</html>\n";
}
