// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// From a sample to the tensors a network trains on.

#include <sqs/sensor/lidar_depth.hpp>
#include <sqs/sensor/preprocess.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs {

/// Mean and standard deviation of RGB in 0 .. 255 that ImageNet-trained backbones expect.
///
/// Source      mmdet `img_norm_cfg`: the same for all models of the library.
struct image_normalisation {
  std::array<double, 3> mean{123.675, 116.28, 103.53};
  std::array<double, 3> deviation{58.395, 57.12, 57.375};
};

/// Everything one training step reads of one key frame. V views in the order of `camera_names`.
template <class T> struct network_input {
  std::string token;
  tensor<T, 4> images;                    ///< [V,H,W,3], normalised
  tensor<T, 4> rgb;                       ///< [V,H,W,3], 0 .. 1: what a rendered image is compared with
  tensor<T, 3> depth;                     ///< [V,H,W], camera-frame z of the LiDAR return in metres, 0 = none
  std::vector<pinhole_camera<T>> cameras; ///< of the prepared images
  std::vector<se3<T>> T_cam_ref;
  std::vector<mat4<T>> lidar2img; ///< ref -> (u z, v z, z, 1), built in double
};

struct network_input_options {
  image_normalisation normalisation{};
  lidar_depth_options depth{};
};

/// Prepares all views of a sample by one plan.
///
/// Errors      precondition_error for a sample without views, with a wrong image size, NaN pose or singular intrinsics,
///             and when no LiDAR return falls into any view (naming the sample), because the depth loss would then
///             silently train nothing.
/// Cost        about 10 ms per view of 900 x 1600 pixels; no threads.
template <class T> network_input<T> make_network_input(const sample& s, const image_plan& plan,
                                                       const network_input_options& options = {}) {
  expects(!s.views.empty(), "sqs::make_network_input: sample ", s.token, " has no views; read it with a data set");
  const idx views = static_cast<idx>(s.views.size()), pixels = idx{plan.height} * plan.width;
  network_input<T> in{
      .token = s.token, .images = {}, .rgb = {}, .depth = {}, .cameras = {}, .T_cam_ref = {}, .lidar2img = {}};
  in.images = make_tensor<T, 4>({views, plan.height, plan.width, 3});
  in.rgb = make_tensor<T, 4>({views, plan.height, plan.width, 3});
  in.depth = make_tensor<T, 3>({views, plan.height, plan.width});
  idx returns = 0;
  for (idx v = 0; v < views; ++v) {
    const auto& view = s.views[static_cast<std::size_t>(v)];
    expects(view.picture.height == view.camera.height && view.picture.width == view.camera.width,
            "sqs::make_network_input: ", view.name, " of sample ", s.token, " is ", view.picture.height, " x ",
            view.picture.width, " pixels but its camera has ", view.camera.height, " x ", view.camera.width,
            "; correct the image or the calibration");
    const camera_view ready = prepared(view, plan);
    checked(ready.camera, view.name.c_str());
    checked(view.T_cam_ref, view.name.c_str());
    for (idx i = 0; i < pixels * 3; ++i) {
      const auto c = static_cast<std::size_t>(i % 3);
      const double value = ready.picture.pixels[static_cast<std::size_t>(i)];
      in.images.data()[v * pixels * 3 + i] =
          static_cast<T>((value - options.normalisation.mean[c]) / options.normalisation.deviation[c]);
      in.rgb.data()[v * pixels * 3 + i] = static_cast<T>(value / 255.0);
    }
    const auto depth = lidar_depth(s.lidar.points, ready.camera, view.T_cam_ref, options.depth);
    std::copy(depth.begin(), depth.end(), in.depth.data() + v * pixels);
    returns += std::count_if(depth.begin(), depth.end(), [](float d) { return d > 0; });
    in.cameras.push_back(pinhole_camera<T>(ready.camera));
    in.T_cam_ref.push_back(se3<T>(view.T_cam_ref));
    in.lidar2img.push_back(static_cast<mat4<T>>(projection_matrix(ready.camera, view.T_cam_ref)));
  }
  expects(returns > 0, "sqs::make_network_input: none of the ", s.lidar.points.size(), " LiDAR points of sample ",
          s.token, " falls into any of its ", views, " views; check the LiDAR file and the calibration");
  return in;
}

} // namespace sqs
