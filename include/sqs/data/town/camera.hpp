// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The cameras of a town: light per pixel, then a sensor with exposure, a tone curve and noise.

#include <sqs/data/town/stage.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/sensor/sample.hpp>

namespace sqs::town {

struct camera_options {
  int edge_rays = 3; ///< more rays for a pixel on an outline, 0 .. 3
  bool shadows = true;
  double noise = 1; ///< 0: none; 1: an ordinary sensor
};

/// What one camera sees. Arrays are [height, width].
///
/// Units       depth: z in the camera's frame at the pixel's centre, metres, 0 for the sky. semantics: classes of
///             `occupancy_class_names`, 17 for the sky. instance: -1 where there is none. hit: town axes.
struct camera_frame {
  image picture;
  std::vector<float> depth;
  std::vector<std::uint8_t> semantics;
  std::vector<std::int32_t> instance;
  std::vector<std::int32_t> seen; ///< pixels of each instance
};

namespace detail {

class camera_renderer {
public:
  camera_renderer(cpu& e, const stage& s, const pinhole_camera<double>& c, const se3<double>& T_town_cam,
                  const camera_options& o, std::uint64_t seed)
      : exec_(e),
        stage_(s),
        camera_(c),
        pose_(T_town_cam),
        options_(o),
        seed_(seed),
        width_(static_cast<std::size_t>(c.width)) {}

  camera_frame render(std::size_t instances) {
    const std::size_t n = width_ * static_cast<std::size_t>(camera_.height);
    out_.picture = image(camera_.height, camera_.width);
    out_.depth.resize(n), out_.semantics.resize(n), out_.instance.resize(n);
    light_.resize(n), key_.resize(n);
    constexpr int side = 8; // tiles: neighbouring rays walk the same part of the tree
    const int down = (camera_.height + side - 1) / side, across = (camera_.width + side - 1) / side;
    parallel_for(exec_, idx{down} * across, 16, [&](idx begin, idx end) {
      for (idx tile = begin; tile < end; ++tile) {
        const int top = static_cast<int>(tile / across) * side, left = static_cast<int>(tile % across) * side;
        for (int y = top; y < std::min(top + side, camera_.height); ++y) {
          for (int x = left; x < std::min(left + side, camera_.width); ++x) { center(x, y); }
        }
      }
    });
    if (options_.edge_rays > 0) {
      parallel_for(exec_, camera_.height, 4, [&](idx begin, idx end) {
        for (idx y = begin; y < end; ++y) { smooth(static_cast<int>(y)); }
      });
    }
    expose();
    out_.seen.assign(instances, 0);
    for (const std::int32_t i : out_.instance) {
      if (i >= 0 && static_cast<std::size_t>(i) < instances) { ++out_.seen[static_cast<std::size_t>(i)]; }
    }
    return std::move(out_);
  }

private:
  using light = vec3<float>;

  point ray(double x, double y) const {
    return pose_.rotation * point{(x - camera_.cx) / camera_.fx, (y - camera_.cy) / camera_.fy, 1.0};
  }
  std::size_t at(int x, int y) const { return static_cast<std::size_t>(y) * width_ + static_cast<std::size_t>(x); }

  colour look(const hit& h, point d, bool& lit) const {
    const double size = length(d);
    const point way = (1 / size) * d;
    lit = false;
    if (!(h.t < 1e29)) { return sky(stage_.light, way); }
    const double distance = h.t * size;
    const double slant = std::max(0.12, std::abs(dot(h.what == nullptr ? h.normal : from_own(*h.what, h.normal), way)));
    const double footprint = distance / (camera_.fx * std::sqrt(slant)) * 0.8;
    const surface s = surface_at(stage_, h, pose_.translation, d, footprint);
    const bool faces = s.stuff.through > 0 || dot(s.normal, stage_.light.sun) > 0;
    lit = faces && (!options_.shadows || stage_.light.sunlight.x < 0.3 || stage_.lit(s.at, s.normal));
    return through_haze(
        stage_.light,
        shaded(stage_.light, s.stuff, s.at, s.normal, way, lit ? 1 : 0, h.what == nullptr ? 0 : h.what->grain),
        distance);
  }

  void center(int x, int y) {
    const point d = ray(x + 0.5, y + 0.5);
    const hit h = stage_.cast(pose_.translation, d);
    const std::size_t i = at(x, y);
    const bool far = !(h.t < 1e29);
    out_.depth[i] = far ? 0.0f : static_cast<float>(h.t);
    out_.semantics[i] = label_of(h);
    out_.instance[i] = h.what == nullptr ? no_instance : h.what->instance;
    bool lit = false;
    light_[i] = static_cast<light>(look(h, d, lit));
    // Pixels of one face in one light share a key.
    const auto side = [](double v) { return static_cast<std::uint32_t>(v * 3 + 4); };
    const std::uint32_t thing = far ? 0 : stage_.number_of(h.what) + 1;
    key_[i] = (thing << 7) | (side(h.normal.x) << 4) | (side(h.normal.y) << 1) | (lit ? 1u : 0u);
  }

  void smooth(int y) {
    constexpr double dx[] = {0.125, 0.875, 0.375}, dy[] = {0.375, 0.625, 0.875};
    for (int x = 0; x < camera_.width; ++x) {
      const std::uint32_t own = key_[at(x, y)];
      const bool edge = (x > 0 && key_[at(x - 1, y)] != own) || (x + 1 < camera_.width && key_[at(x + 1, y)] != own) ||
                        (y > 0 && key_[at(x, y - 1)] != own) || (y + 1 < camera_.height && key_[at(x, y + 1)] != own);
      if (!edge) { continue; }
      // Bright light is compressed before it is averaged, so that one glint does not fill a pixel.
      const auto squeeze = [](colour c) { return (1 / (1 + 0.4 * (c.x + c.y + c.z))) * c; };
      colour sum = squeeze(static_cast<colour>(light_[at(x, y)]));
      for (int k = 0; k < options_.edge_rays; ++k) {
        const point d = ray(x + dx[k], y + dy[k]);
        bool lit = false;
        sum = sum + squeeze(look(stage_.cast(pose_.translation, d), d, lit));
      }
      sum = (1.0 / (1 + options_.edge_rays)) * sum;
      light_[at(x, y)] = static_cast<light>((1 / std::max(0.05, 1 - 0.4 * (sum.x + sum.y + sum.z))) * sum);
    }
  }

  /// Automatic exposure, vignette, tone curve, noise.
  void expose() {
    double sum = 0;
    idx count = 0;
    for (std::size_t i = 0; i < light_.size(); i += 29) {
      const light c = light_[i];
      sum += std::log(0.02 + 0.25 * static_cast<double>(c.x) + 0.6 * static_cast<double>(c.y) +
                      0.15 * static_cast<double>(c.z));
      ++count;
    }
    const double gain = std::clamp(0.34 / std::exp(sum / static_cast<double>(count)), 0.35, 1.6);
    constexpr int steps = 2048;
    std::array<float, steps + 2> curve;
    for (int i = 0; i <= steps + 1; ++i) {
      const double x = 8.0 * i / steps; // ACES as fitted by Narkowicz, then the screen's gamma
      curve[static_cast<std::size_t>(i)] = static_cast<float>(
          255 * std::pow(std::clamp(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0), 1 / 2.2));
    }
    const float strength = static_cast<float>(options_.noise);
    parallel_for(exec_, camera_.height, 16, [&](idx begin, idx end) {
      for (idx y = begin; y < end; ++y) {
        for (int x = 0; x < camera_.width; ++x) {
          const double u = (x + 0.5) / camera_.width - 0.5, v = (static_cast<double>(y) + 0.5) / camera_.height - 0.5;
          const float vignette = static_cast<float>(0.62 * gain * (1 - 0.38 * (u * u + v * v)));
          const std::size_t i = at(x, static_cast<int>(y));
          const float c[] = {light_[i].x, light_[i].y, light_[i].z};
          std::uint64_t random = mix_bits(seed_ + i);
          std::uint8_t* to = out_.picture.at(static_cast<int>(y), x);
          for (int k = 0; k < 3; ++k, random = random * 0x9E3779B97F4A7C15ull + 1) {
            const float value = std::clamp(c[k] * vignette, 0.0f, 7.99f) * (steps / 8.0f);
            const auto cell = static_cast<std::size_t>(value);
            const float tone = curve[cell] + (value - static_cast<float>(cell)) * (curve[cell + 1] - curve[cell]);
            float draw = -510; // four bytes: nearly normal, standard deviation 147.8
            for (int b = 0; b < 4; ++b) { draw += static_cast<float>((random >> (24 + 8 * b)) & 255); }
            const float grainy = strength * (1.1f + 1.6f * (1 - tone / 255)) * (draw / 147.8f);
            *to++ = static_cast<std::uint8_t>(std::clamp(tone + grainy + 0.5f, 0.0f, 255.0f));
          }
        }
      }
    });
  }

  cpu& exec_;
  const stage& stage_;
  pinhole_camera<double> camera_;
  se3<double> pose_;
  camera_options options_;
  std::uint64_t seed_;
  std::size_t width_;
  camera_frame out_;
  std::vector<light> light_;
  std::vector<std::uint32_t> key_;
};

} // namespace detail

/// Renders one view. `seed` is that of the noise.
///
/// Execution   The result does not depend on the number of threads.
/// Cost        a ray and a shadow ray per pixel, four of each on outlines.
inline camera_frame render(cpu& e, const stage& s, const pinhole_camera<double>& camera, const se3<double>& T_town_cam,
                           std::size_t instances, std::uint64_t seed, const camera_options& options = {}) {
  return detail::camera_renderer(e, s, camera, T_town_cam, options, seed).render(instances);
}

} // namespace sqs::town
