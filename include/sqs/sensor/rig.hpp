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
  pinhole_camera<T> camera;
  se3<T> T_cam_ref; ///< maps reference-frame points to camera-frame points
};

/// V cameras that see one scene, each with its own image size.
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
  void add(const pinhole_camera<T>& camera, const se3<T>& T_cam_ref) {
    expects(size_ < capacity, "sqs::camera_rig: view ", size_, " does not fit; a rig holds ", capacity,
            " cameras: use several rigs");
    const posed_camera<T> view{checked(camera, "a camera of the rig"), checked(T_cam_ref, "T_cam_ref of the rig")};
    views_[static_cast<std::size_t>(size_++)] = view;
  }
  int size() const { return size_; }
  const posed_camera<T>& operator[](int view) const { return views_[static_cast<std::size_t>(view)]; }
  const posed_camera<T>* begin() const { return views_.data(); }
  const posed_camera<T>* end() const { return views_.data() + size_; }

  /// The same cameras in another scalar type.
  template <class U> explicit operator camera_rig<U>() const {
    camera_rig<U> r;
    for (const auto& v : *this) { r.add(pinhole_camera<U>(v.camera), se3<U>(v.T_cam_ref)); }
    return r;
  }

private:
  std::array<posed_camera<T>, capacity> views_{};
  int size_ = 0;
};

} // namespace sqs
