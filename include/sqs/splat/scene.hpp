// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the rasterizer draws: handles to the activated parameters of G Gaussians.

#include <sqs/sensor/rig.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::splat {

/// G Gaussians after activation. Copying shares the tensors.
///
/// Shapes      means [G,3] m in ref; scales [G,3] m, one standard deviation per axis; rotations [G,4] (w,x,y,z) of any
///             length (normalised inside, with the gradient through it); opacities [G] in (0,1); colours [G,C].
template <class T> struct scene {
  tensor<T, 2> means, scales, rotations;
  tensor<T, 1> opacities;
  tensor<T, 2> colours;

  idx count() const { return means.extent(0); }
};

/// Checks the shapes of a scene.
///
/// Errors      precondition_error naming the tensor, its shape and the expected one.
template <class T> void check_scene(const scene<T>& s, idx channels) {
  const idx n = s.count();
  const auto matches = [n](const tensor<T, 2>& x, const char* name, idx columns) {
    expects(x.extent(0) == n && x.extent(1) == columns, "sqs::splat::rasterizer: ", name, " is [", x.extent(0), ", ",
            x.extent(1), "] but must be [", n, ", ", columns, "] (one row per mean); check the head that makes it");
  };
  matches(s.means, "means", 3);
  matches(s.scales, "scales", 3);
  matches(s.rotations, "rotations", 4);
  matches(s.colours, "colours", channels);
  expects(s.opacities.extent(0) == n, "sqs::splat::rasterizer: opacities is [", s.opacities.extent(0),
          "] but must be [", n, "] (one per mean); reshape [G,1] to [G]");
  expects(n < (idx{1} << 31), "sqs::splat::rasterizer: ", n, " Gaussians; split the scene below 2^31");
}

/// Checks that a rig can be rendered into one [V,H,W,C] tensor.
///
/// Errors      precondition_error for no view, or views of different sizes.
template <class T> void check_rig(const camera_rig<T>& rig) {
  expects(rig.size() > 0, "sqs::splat::rasterizer: the camera rig has no view; add at least one camera");
  const auto& first = rig[0].camera;
  for (int v = 1; v < rig.size(); ++v) {
    const auto& c = rig[v].camera;
    expects(c.width == first.width && c.height == first.height, "sqs::splat::rasterizer: view ", v, " is ", c.height,
            " x ", c.width, " pixels but view 0 is ", first.height, " x ", first.width,
            "; render views of different sizes in separate calls");
  }
}

} // namespace sqs::splat
