// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Reads the files of tests/splat/golden (see the README there).

#include <sqs/sensor/rig.hpp>
#include <sqs/splat/scene.hpp>
#include <sqs/tensor/safetensors.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace golden {

using sqs::idx;

inline sqs::safetensors_file file(const std::string& name) {
  return sqs::read_safetensors(std::filesystem::path(SQS_TEST_SOURCE_DIR) / "splat/golden" / name);
}
/// The numbers of a stored tensor of any rank.
template <class T> std::vector<T> numbers(const sqs::stored_tensor& s) {
  std::vector<T> out(s.data.size() / sizeof(T));
  std::memcpy(out.data(), s.data.data(), s.data.size());
  return out;
}

/// A scene of autograd.safetensors and the cameras it was made with.
struct scene {
  sqs::splat::scene<double> s;
  sqs::tensor<double, 2> background, poses, intrinsics;
  sqs::camera_rig<double> rig;
};
inline scene read_scene(const sqs::safetensors_file& f, const std::string& name,
                        const std::vector<sqs::camera_model>& models) {
  const auto matrix = [&](const char* key) { return sqs::to_tensor<double, 2>(f.at(name + "." + key), key); };
  scene out{{matrix("means"), matrix("scales"), matrix("rotations"),
             sqs::to_tensor<double, 1>(f.at(name + ".opacities"), "opacities"), matrix("colours")},
            matrix("background"),
            matrix("poses"),
            matrix("intrinsics"),
            {}};
  for (std::size_t v = 0; v < models.size(); ++v) {
    const double *k = &out.intrinsics(static_cast<idx>(v), 0), *p = &out.poses(static_cast<idx>(v), 0);
    sqs::any_camera<double> camera{k[0], k[1], k[2], k[3], 20, 14, models[v], {}};
    std::copy_n(k + 4, 8, camera.distortion.begin());
    sqs::se3<double> pose{{}, {p[9], p[10], p[11]}};
    std::copy_n(p, 9, pose.rotation.a);
    out.rig.add(camera, pose);
  }
  return out;
}

/// A case of the Brush project: the scene after activation, its camera and the image [82,123,4].
struct brush {
  sqs::splat::scene<float> s;
  sqs::camera_rig<float> rig;
  std::vector<float> rgba;
  int height = 0, width = 0;
};
inline brush read_brush(const std::string& name) {
  const auto f = file("brush_" + name + "_case.safetensors");
  const auto matrix = [&](const char* key) { return sqs::to_tensor<float, 2>(f.at(key), key); };
  brush out{{matrix("means"), matrix("scales"), matrix("quats"),
             sqs::to_tensor<float, 1>(f.at("opacities"), "opacities"),
             sqs::make_tensor<float, 2>({f.at("coeffs").shape[0], 48})},
            {},
            numbers<float>(f.at("out_img")),
            static_cast<int>(f.at("out_img").shape[0]),
            static_cast<int>(f.at("out_img").shape[1])};
  for (float& x : out.s.scales) { x = std::exp(x); }
  for (float& x : out.s.opacities) { x = 1 / (1 + std::exp(-x)); }
  const auto coefficients = numbers<float>(f.at("coeffs")); // [G][k][rgb], the order of the colours' columns
  std::copy(coefficients.begin(), coefficients.end(), out.s.colours.data());
  const float w = static_cast<float>(out.width), h = static_cast<float>(out.height);
  out.rig.add({w / 2, w / 2, w / 2, h / 2, out.width, out.height},
              {sqs::mat3<float>::identity(), {-0.123f, -0.456f, 8.0f}});
  return out;
}

} // namespace golden
