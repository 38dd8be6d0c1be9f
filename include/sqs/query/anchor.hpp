// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The anchor of a Gaussian query: raw (logit-space) numbers and the pointwise maps to metres. Vocabulary: no executor.

#include <sqs/core/math.hpp>

namespace sqs::query {

/// How a scale logit becomes metres.
enum class scale_map {
  linear,   ///< s_min + (s_max - s_min) sigmoid(l)
  geometric ///< s_min (s_max / s_min)^sigmoid(l): resolves small and large alike
};

/// The numbers of an anchor space. Metres, reference frame.
struct anchor_config {
  using sqs_setting = void;
  double low[3] = {-50, -50, -5}; ///< corner of the perceived box
  double high[3] = {50, 50, 3};
  double scale_min = 0.08, scale_max = 0.64;
  scale_map scale = scale_map::linear;
  double step[3] = {4, 4, 1}; ///< largest metric step of one refinement near the centre of the box
  int colour_channels = 3;
  double initial_opacity_logit = 0;

  /// Columns of an anchor: position 3 | scale 3 | rotation 4 | opacity 1 | colour.
  static constexpr int position = 0, scales = 3, rotation = 6, opacity = 10, colour = 11;
  constexpr int width() const { return colour + colour_channels; }
  /// Largest change of a position logit in one refinement: 4 step / range (4 = 1 / the sigmoid's largest slope).
  constexpr double logit_step(int axis) const { return 4 * step[axis] / (high[axis] - low[axis]); }
};

/// Position logit -> metres.
template <class T> SQS_HD T decode_position(const anchor_config& c, int axis, T raw) {
  return safe_sigmoid(raw) * T(c.high[axis] - c.low[axis]) + T(c.low[axis]);
}
template <class T> SQS_HD T position_slope(const anchor_config& c, int axis, T raw) {
  return safe_sigmoid_slope(raw, safe_sigmoid(raw)) * T(c.high[axis] - c.low[axis]);
}
/// Scale logit -> metres.
template <class T> SQS_HD T decode_scale(const anchor_config& c, T raw) {
  using std::exp;
  using std::log;
  const T s = safe_sigmoid(raw), low = T(c.scale_min), high = T(c.scale_max);
  return c.scale == scale_map::linear ? low + (high - low) * s : low * exp(s * log(high / low));
}
template <class T> SQS_HD T scale_slope(const anchor_config& c, T raw) {
  using std::log;
  const T ds = safe_sigmoid_slope(raw, safe_sigmoid(raw)), low = T(c.scale_min), high = T(c.scale_max);
  return c.scale == scale_map::linear ? (high - low) * ds : decode_scale(c, raw) * log(high / low) * ds;
}

/// An anchor's geometry in metres.
///
/// The quaternion is stored as GaussianFormer stores it: the rotation that turns the Gaussian's own axes into the
/// reference frame is the *transpose* of its standard matrix, R(q)^T. Key points and covariance both follow from
/// `local_to_ref`; the rasterizer, which builds R S S^T R^T, is handed the conjugate quaternion.
template <class T> struct decoded_geometry {
  vec3<T> mean, scale;
  quaternion<T> raw_rotation;
  mat3<T> local_to_ref;
};
template <class T> SQS_HD decoded_geometry<T> decode_geometry(const anchor_config& c, const T* a) {
  const T* s = a + anchor_config::scales;
  const T* r = a + anchor_config::rotation;
  const quaternion<T> q{r[0], r[1], r[2], r[3]};
  return {{decode_position(c, 0, a[0]), decode_position(c, 1, a[1]), decode_position(c, 2, a[2])},
          {decode_scale(c, s[0]), decode_scale(c, s[1]), decode_scale(c, s[2])},
          q,
          transposed(rotation_matrix(normalized(q)))};
}
/// Adds the gradient of the decoded geometry to the raw anchor's gradient. `d_local_to_ref` is dL/dR^T.
template <class T> SQS_HD void decode_geometry_backward(const anchor_config& c, const T* a,
                                                        const decoded_geometry<T>& g, vec3<T> d_mean, vec3<T> d_scale,
                                                        const mat3<T>& d_local_to_ref, T* da) {
  const T m[3] = {d_mean.x, d_mean.y, d_mean.z}, s[3] = {d_scale.x, d_scale.y, d_scale.z};
  for (int i = 0; i < 3; ++i) {
    da[i] += m[i] * position_slope(c, i, a[i]);
    da[anchor_config::scales + i] += s[i] * scale_slope(c, a[anchor_config::scales + i]);
  }
  const auto q = normalized_backward(g.raw_rotation,
                                     rotation_matrix_backward(normalized(g.raw_rotation), transposed(d_local_to_ref)));
  T* dr = da + anchor_config::rotation;
  dr[0] += q.w;
  dr[1] += q.x;
  dr[2] += q.y;
  dr[3] += q.z;
}

} // namespace sqs::query
