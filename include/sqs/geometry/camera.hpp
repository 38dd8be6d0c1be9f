// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Cameras as plain values. Camera frame: x right, y down, z forward. Pixel centres lie at integer + 0.5. How points
/// pass through the models with distortion is in camera_projection.hpp.

#include <sqs/core/error.hpp>
#include <sqs/geometry/se3.hpp>

#include <array>

namespace sqs {

template <class T> struct any_camera;

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
  /// Every pinhole camera is a camera.
  SQS_HD constexpr operator any_camera<T>() const;
};

/// How a point of the camera frame reaches the image plane.
enum class camera_model {
  pinhole,      ///< u = fx x/z + cx
  opencv,       ///< pinhole with rational radial and tangential distortion
  fisheye,      ///< equidistant with a polynomial of the angle to the axis: Kannala-Brandt, OpenCV's `fisheye`
  orthographic, ///< u = fx x + cx, fx in px/m
};
/// The model's name, for messages.
SQS_HD constexpr const char* name_of(camera_model m) {
  return m == camera_model::pinhole   ? "pinhole"
         : m == camera_model::opencv  ? "opencv"
         : m == camera_model::fisheye ? "fisheye"
                                      : "orthographic";
}

/// A camera of any model. `{fx, fy, cx, cy, width, height}` is a pinhole.
///
/// Units       focal lengths and centre in pixels (orthographic: fx, fy in px/m). `fx` is negative after a horizontal
///             flip. `distortion` is in normalised coordinates, so resizing, cropping and flipping leave it alone:
///             opencv k1 k2 p1 p2 k3 k4 k5 k6 (OpenCV's order), fisheye k1 k2 k3 k4; the rest is not read.
/// Source      OpenCV, calib3d: "Camera Calibration and 3D Reconstruction", "Fisheye camera model".
template <class T> struct any_camera {
  T fx{}, fy{}, cx{}, cy{};
  int width{}, height{};
  camera_model model = camera_model::pinhole;
  std::array<T, 8> distortion{};

  template <class U> SQS_HD constexpr explicit operator any_camera<U>() const {
    any_camera<U> r{U(fx), U(fy), U(cx), U(cy), width, height, model, {}};
    for (std::size_t i = 0; i < distortion.size(); ++i) { r.distortion[i] = U(distortion[i]); }
    return r;
  }
  /// As `as_pinhole`, in another scalar type.
  template <class U> explicit operator pinhole_camera<U>() const;
};

template <class T> SQS_HD constexpr pinhole_camera<T>::operator any_camera<T>() const {
  return {fx, fy, cx, cy, width, height, camera_model::pinhole, {}};
}

/// The camera as a pinhole camera, if that is its model.
///
/// Errors      precondition_error, naming `what` and the model, for every other model.
template <class T> pinhole_camera<T> as_pinhole(const any_camera<T>& c, const char* what) {
  expects(c.model == camera_model::pinhole, "sqs::as_pinhole: ", what, " is a camera of the model ", name_of(c.model),
          ", which no pinhole describes; undistort its pictures first, or use an op that takes any camera");
  return {c.fx, c.fy, c.cx, c.cy, c.width, c.height};
}
template <class T> template <class U> any_camera<T>::operator pinhole_camera<U>() const {
  return static_cast<pinhole_camera<U>>(as_pinhole(*this, "a converted camera"));
}

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

/// As for a pinhole camera; the distortion must be finite too.
///
/// Errors      precondition_error, naming `what`, for zero or non-finite numbers and empty images.
template <class T> any_camera<T> checked(const any_camera<T>& c, const char* what) {
  checked(pinhole_camera<T>{c.fx, c.fy, c.cx, c.cy, c.width, c.height}, what);
  for (std::size_t i = 0; i < c.distortion.size(); ++i) {
    expects(std::isfinite(c.distortion[i]), "sqs::any_camera: ", what, " has distortion[", i, "] = ", c.distortion[i],
            "; check the calibration of this sensor");
  }
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

template <class T>
SQS_HD constexpr any_camera<T> transformed(const any_camera<T>& c, const image_transform<T>& a, int width, int height) {
  return {a.ax * c.fx, a.ay * c.fy, a.ax * c.cx + a.bx, a.ay * c.cy + a.by, width, height, c.model, c.distortion};
}

/// The 4x4 matrix that takes reference-frame points to (u z, v z, z, 1): `lidar2img` when ref is the LiDAR.
template <class T> SQS_HD constexpr mat4<T> projection_matrix(const pinhole_camera<T>& c, const se3<T>& T_cam_ref) {
  const mat4<T> k{{c.fx, 0, c.cx, 0, 0, c.fy, c.cy, 0, 0, 0, 1, 0, 0, 0, 0, 1}};
  return k * matrix(T_cam_ref);
}

} // namespace sqs
