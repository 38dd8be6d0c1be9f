// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The sensors of a nuScenes car as published, and the frames between them.

#include <sqs/sensor/preprocess.hpp>

namespace sqs::town {

/// A camera: intrinsics in pixels of 900 x 1600, mounting in ego (x forward, y left, z up; on the ground below the rear
/// axle).
struct rig_camera {
  const char* name;
  double focal, cx, cy;
  vec3<double> at;
  quaternion<double> rotation; ///< camera -> ego
};

/// Source      calibrated_sensor of nuScenes v1.0-mini, scene-0061.
inline constexpr std::array<rig_camera, 6> rig{
    {{"CAM_FRONT",
      1266.417203046554,
      816.2670197447984,
      491.50706579294757,
      {1.70079118954, 0.0159456324149, 1.51095763913},
      {0.4998015430569128, -0.5030316162024876, 0.4997798114386805, -0.49737083824542755}},
     {"CAM_FRONT_RIGHT",
      1260.8474446004698,
      807.968244525554,
      495.3344268742088,
      {1.5508477543, -0.493404796419, 1.49574800619},
      {0.2060347966337182, -0.2026940577919598, 0.6824507824531167, -0.6713610884174485}},
     {"CAM_FRONT_LEFT",
      1272.5979470598488,
      826.6154927353808,
      479.75165386361925,
      {1.52387798135, 0.494631336551, 1.50932822144},
      {0.6757265034669446, -0.6736266522251881, 0.21214015046209478, -0.21122827103904068}},
     {"CAM_BACK",
      809.2209905677063,
      829.2196003259838,
      481.77842384512485,
      {0.0283260309358, 0.00345136761476, 1.57910346144},
      {0.5037872666382278, -0.49740249788611096, -0.4941850223835201, 0.5045496097725578}},
     {"CAM_BACK_LEFT",
      1256.7414812095406,
      792.1125740759628,
      492.7757465151356,
      {1.03569100218, 0.484795032713, 1.59097014818},
      {0.6924185592174665, -0.7031619420114925, -0.11648342771943819, 0.11203317912370753}},
     {"CAM_BACK_RIGHT",
      1259.5137405846733,
      807.2529053838625,
      501.19579884916527,
      {1.0148780988, -0.480568219723, 1.56239545128},
      {0.12280980120078765, -0.132400842670559, -0.7004305821388234, 0.690496031265798}}}};

/// LIDAR_TOP: the published place; upright, with x to the right, where nuScenes' own is tilted by 1.4 degrees.
inline se3<double> T_ego_lidar() {
  se3<double> t = yaw_rotation(-1.5707963267948966);
  t.translation = {0.943713, 0.0, 1.84023};
  return t;
}
inline se3<double> T_ego_camera(std::size_t view) { return make_se3(rig[view].rotation, rig[view].at); }

/// The camera at another size: resized to cover it, bottom rows and middle columns kept, as `fitting_plan`.
inline pinhole_camera<double> intrinsics(std::size_t view, int height, int width) {
  const auto plan = fitting_plan(900, 1600, height, width);
  const image_transform<double> fit{plan.scale, plan.scale, -static_cast<double>(plan.crop_x),
                                    -static_cast<double>(plan.crop_y)};
  return transformed(pinhole_camera<double>{rig[view].focal, rig[view].focal, rig[view].cx, rig[view].cy, 1600, 900},
                     fit, width, height);
}

/// The car that carries them: its box, and how far its rear axle lies behind the middle.
inline constexpr vec3<double> ego_size{4.084, 1.73, 1.56};
inline constexpr double ego_middle = 1.1; ///< the box's middle is that far ahead of the rear axle

} // namespace sqs::town
