// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The cameras of one sample as a plain value: it can be copied into an op, a tape or a kernel argument and never
/// allocates.

#include <sqs/geometry/camera.hpp>

#include <array>
#include <initializer_list>

namespace sqs {

/// A camera and where it stands.
template <class T> struct posed_camera {
  any_camera<T> camera; ///< a pinhole_camera converts to it
  se3<T> T_cam_ref;     ///< maps reference-frame points to camera-frame points
};

/// V cameras that see one scene, each with its own model and image size.
///
/// Errors      precondition_error for a view beyond `capacity`, singular intrinsics or an improper pose.
template <class T> class camera_rig {
public:
  /// Most cameras of one rig: vehicles carry six to eleven.
  static constexpr int capacity = 16;

  camera_rig() = default;
  camera_rig(std::initializer_list<posed_camera<T>> views) {
    for (const auto& v : views) { add(v.camera, v.T_cam_ref); }
  }
  void add(const any_camera<T>& camera, const se3<T>& T_cam_ref) {
    expects(size_ < capacity, "sqs::camera_rig: view ", size_, " does not fit; a rig holds ", capacity,
            " cameras: use several rigs");
    const posed_camera<T> view{checked(camera, concat("camera ", size_, " of the rig").c_str()),
                               checked(T_cam_ref, concat("T_cam_ref of camera ", size_, " of the rig").c_str())};
    views_[static_cast<std::size_t>(size_++)] = view;
  }
  /// New numbers for a view, as an optimiser moves them: finite, but the rotation may have drifted from a proper one.
  void replace(int view, const any_camera<T>& camera, const se3<T>& T_cam_ref) {
    views_[static_cast<std::size_t>(view)] = {checked(camera, concat("camera ", view, " of the rig").c_str()),
                                              T_cam_ref};
  }
  int size() const { return size_; }
  const posed_camera<T>& operator[](int view) const { return views_[static_cast<std::size_t>(view)]; }
  const posed_camera<T>* begin() const { return views_.data(); }
  const posed_camera<T>* end() const { return views_.data() + size_; }

  /// Pixels of all images: the rows of a jagged tensor, which holds the views one after the other, row by row.
  idx pixel_count() const { return first_pixel(size_); }
  /// Where `view` begins in a jagged tensor.
  idx first_pixel(int view) const {
    idx n = 0;
    for (int v = 0; v < view; ++v) { n += idx{(*this)[v].camera.width} * (*this)[v].camera.height; }
    return n;
  }
  /// Whether all images have one size, so that they fit into one [V,H,W,C] tensor.
  bool uniform() const {
    for (int v = 1; v < size_; ++v) {
      const any_camera<T>&a = views_[0].camera, &b = (*this)[v].camera;
      if (a.width != b.width || a.height != b.height) { return false; }
    }
    return true;
  }

  /// The same cameras in another scalar type.
  template <class U> explicit operator camera_rig<U>() const {
    camera_rig<U> r;
    for (const auto& v : *this) { r.add(static_cast<any_camera<U>>(v.camera), static_cast<se3<U>>(v.T_cam_ref)); }
    return r;
  }

private:
  std::array<posed_camera<T>, capacity> views_{};
  int size_ = 0;
};

} // namespace sqs
