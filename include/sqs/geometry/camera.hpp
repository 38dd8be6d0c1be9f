// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The pinhole camera. Camera frame: x right, y down, z forward. Pixel centres lie at integer + 0.5.

#include <sqs/core/error.hpp>
#include <sqs/geometry/se3.hpp>

namespace sqs {

/// A pinhole camera without distortion: u = fx x/z + cx, v = fy y/z + cy, in pixels.
///
/// `fx` is negative after a horizontal flip of the image; everything in the library keeps the sign.
template <class T> struct pinhole_camera {
  T fx{}, fy{}, cx{}, cy{};
  int width{}, height{};

  SQS_HD constexpr vec2<T> project(vec3<T> p_cam) const {
    return {fx * p_cam.x / p_cam.z + cx, fy * p_cam.y / p_cam.z + cy};
  }
  /// The point at camera-frame depth z seen at pixel (u, v).
  SQS_HD constexpr vec3<T> unproject(vec2<T> pixel, T z) const {
    return {(pixel.x - cx) / fx * z, (pixel.y - cy) / fy * z, z};
  }
  template <class U> SQS_HD constexpr explicit operator pinhole_camera<U>() const {
    return {U(fx), U(fy), U(cx), U(cy), width, height};
  }
};

/// Returns `c` if its intrinsics can be inverted and the image is not empty; raises otherwise.
///
/// Errors      precondition_error, naming `what`, for zero or non-finite focal lengths and empty images.
template <class T> pinhole_camera<T> checked(const pinhole_camera<T>& c, const char* what) {
  expects(std::isfinite(c.fx + c.fy + c.cx + c.cy) && c.fx != T(0) && c.fy != T(0), "sqs::pinhole_camera: ", what,
          " has singular intrinsics (fx ", c.fx, ", fy ", c.fy, ", cx ", c.cx, ", cy ", c.cy,
          "); check the calibration of this sensor");
  expects(c.width > 0 && c.height > 0, "sqs::pinhole_camera: ", what, " has an empty image of ", c.height, " x ",
          c.width, " pixels; give the image size in pixels");
  return c;
}

/// A 2D affine map of image pixels: the resize, crop, flip of an image, applied to its camera.
template <class T> struct image_transform {
  T ax{1}, ay{1}, bx{}, by{}; ///< u' = ax u + bx, v' = ay v + by
};
/// The camera that sees the transformed image: intrinsics A K. Signs are kept (a flip gives fx < 0).
template <class T> SQS_HD constexpr pinhole_camera<T> transformed(const pinhole_camera<T>& c,
                                                                  const image_transform<T>& a, int width, int height) {
  return {a.ax * c.fx, a.ay * c.fy, a.ax * c.cx + a.bx, a.ay * c.cy + a.by, width, height};
}

/// The 4x4 matrix that takes reference-frame points to (u z, v z, z, 1): `lidar2img` when ref is the LiDAR.
template <class T> SQS_HD constexpr mat4<T> projection_matrix(const pinhole_camera<T>& c, const se3<T>& T_cam_ref) {
  const mat4<T> k{{c.fx, 0, c.cx, 0, 0, c.fy, c.cy, 0, 0, 0, 1, 0, 0, 0, 0, 1}};
  return k * matrix(T_cam_ref);
}

} // namespace sqs
