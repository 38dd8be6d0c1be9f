// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Gaussians with the raw numbers that training moves and files store, and the way from those to what is drawn.

#include <sqs/autodiff/parameter.hpp>
#include <sqs/autodiff/result.hpp>
#include <sqs/core/math.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/gaussian/spherical_harmonics.hpp>

#include <cstring>
#include <map>

namespace sqs {

/// Gaussians on the host as 3DGS files hold them: raw numbers, before any activation.
///
/// Units       means in metres; a scale is the natural logarithm of metres, one standard deviation per axis; an opacity
///             is a logit; rotations are (w,x,y,z) of any length. A colour is 0.5 + the sum of coefficient times
///             spherical harmonic of the view direction; a colour without direction has degree 0.
/// Invariant   one element per Gaussian in each list, 3 (sh_degree + 1)^2 in `sh` (see `check_cloud`).
struct gaussian_cloud {
  std::vector<vec3<float>> means;
  std::vector<vec3<float>> log_scales;
  std::vector<quaternion<float>> rotations;
  std::vector<float> opacity_logits;
  int sh_degree = 0;                                 ///< 0 .. 4
  std::vector<float> sh;                             ///< per Gaussian [(sh_degree + 1)^2][r, g, b]
  std::map<std::string, std::vector<float>> extra{}; ///< further named properties, `sem_0` for instance

  std::size_t size() const { return means.size(); }
  /// Spherical-harmonic coefficients per Gaussian and colour: (sh_degree + 1)^2.
  std::size_t coefficients() const { return static_cast<std::size_t>(sh_count(sh_degree)); }
  /// The 3 `coefficients()` numbers of a Gaussian.
  std::span<const float> sh_of(std::size_t g) const {
    return std::span(sh).subspan(g * 3 * coefficients(), 3 * coefficients());
  }
};

/// Checks the invariant of a cloud; `where` opens the message.
///
/// Errors      precondition_error naming the list whose length is wrong, or the degree.
inline void check_cloud(const gaussian_cloud& g, const char* where) {
  const std::size_t n = g.size();
  expects(g.sh_degree >= 0 && g.sh_degree <= sh_degree_max, where, ": sh_degree is ", g.sh_degree, "; give 0 to 4");
  expects(g.log_scales.size() == n && g.rotations.size() == n && g.opacity_logits.size() == n &&
              g.sh.size() == n * 3 * g.coefficients(),
          where, ": ", n, " means, ", g.log_scales.size(), " scales, ", g.rotations.size(), " rotations, ",
          g.opacity_logits.size(), " opacities, ", g.sh.size(), " colour coefficients; give one of each per Gaussian, ",
          3 * g.coefficients(), " coefficients at degree ", g.sh_degree);
  for (const auto& [name, values] : g.extra) {
    expects(values.size() == n, where, ": the extra property '", name, "' has ", values.size(), " values for ", n,
            " Gaussians; give one each");
  }
}

/// The same Gaussians with colours of another degree: coefficients are dropped, or zero ones added.
inline gaussian_cloud with_sh_degree(gaussian_cloud g, int degree) {
  check_cloud(g, "sqs::with_sh_degree");
  expects(degree >= 0 && degree <= sh_degree_max, "sqs::with_sh_degree: degree is ", degree, "; give 0 to 4");
  const std::size_t from = 3 * g.coefficients();
  g.sh_degree = degree;
  const std::size_t to = 3 * g.coefficients();
  std::vector<float> sh(g.size() * to, 0.0f);
  for (std::size_t i = 0; i < g.size(); ++i) {
    std::copy_n(g.sh.begin() + static_cast<std::ptrdiff_t>(i * from), std::min(from, to),
                sh.begin() + static_cast<std::ptrdiff_t>(i * to));
  }
  g.sh = std::move(sh);
  return g;
}

} // namespace sqs

namespace sqs::gaussian {

/// The numbers of a cloud as parameters of a training run.
///
/// Shapes      means, log_scales [G,3]; rotations [G,4]; opacity_logits [G]; colours [G, 3 (degree+1)^2 + extras]: the
///             column layout of the rasterizer
template <class T> struct raw_parameters {
  parameter<T, 2> means, log_scales, rotations;
  parameter<T, 1> opacity_logits;
  parameter<T, 2> colours;

  idx count() const { return means.value.extent(0); }
  SQS_MEMBERS(raw_parameters, means, log_scales, rotations, opacity_logits, colours)
};

/// Gaussians ready to be drawn: the first five inputs of `splat::rasterizer`.
template <class T> struct activated_gaussians {
  tensor<T, 2> means, scales, rotations;
  tensor<T, 1> opacities;
  tensor<T, 2> colours;
};

/// scales = exp(log_scales), opacities = sigmoid(opacity_logits).
///
/// Shapes      log_scales [G,3], opacity_logits [G] -> scales [G,3] in metres, opacities [G] in (0,1)
/// Gradient    both.
/// Execution   parallel over Gaussians; a number depends on its own input alone, so equal inputs give equal bits.
/// Errors      precondition_error for different numbers of Gaussians.
struct activate_op {
  template <class T> struct saved {
    tensor<T, 2> scales;
    tensor<T, 1> opacities;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& log_scales, const tensor<T, 1>& opacity_logits) const {
    expects(log_scales.extent(0) == opacity_logits.extent(0), "sqs::gaussian::activate_op: ", log_scales.extent(0),
            " rows of scales and ", opacity_logits.extent(0), " opacities; give one of each per Gaussian");
    auto scales = empty<T, 2>(e, log_scales.shape());
    auto opacities = empty<T, 1>(e, opacity_logits.shape());
    const T *s = log_scales.data(), *o = opacity_logits.data();
    T *s_out = scales.data(), *o_out = opacities.data();
    const idx columns = log_scales.extent(1);
    parallel_for(e, opacities.size(), 1 << 12, [=](idx begin, idx end) {
      for (idx i = begin * columns; i < end * columns; ++i) { s_out[i] = std::exp(s[i]); }
      for (idx i = begin; i < end; ++i) { o_out[i] = sigmoid(o[i]); }
    });
    auto value = std::tuple{scales, opacities};
    return result{std::move(value), saved<T>{scales, opacities}};
  }
  template <class T>
  auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& d_scales, const tensor<T, 1>& d_opacities) const {
    auto d_log_scales = empty<T, 2>(e, s.scales.shape());
    auto d_logits = empty<T, 1>(e, s.opacities.shape());
    const T *scales = s.scales.data(), *opacities = s.opacities.data(), *ds = d_scales.data(),
            *d_o = d_opacities.data();
    T *gs = d_log_scales.data(), *go = d_logits.data();
    const idx columns = s.scales.extent(1);
    parallel_for(e, s.opacities.size(), 1 << 12, [=](idx begin, idx end) {
      for (idx i = begin * columns; i < end * columns; ++i) { gs[i] = ds[i] * scales[i]; }
      for (idx i = begin; i < end; ++i) { go[i] = d_o[i] * opacities[i] * (T(1) - opacities[i]); }
    });
    return std::tuple{std::move(d_log_scales), std::move(d_logits)};
  }
};

namespace detail {
inline const std::vector<float>& extra_of(const gaussian_cloud& g, const std::string& name) {
  const auto found = g.extra.find(name);
  std::string names;
  if (found == g.extra.end()) {
    for (const auto& [known, values] : g.extra) { names += (names.empty() ? "" : ", ") + known; }
  }
  expects(found != g.extra.end(), "sqs::gaussian: the cloud has no extra property '", name,
          "' (it has: ", names.empty() ? "none" : names, "); leave it out or give one of these");
  return found->second;
}
} // namespace detail

/// A cloud's numbers as parameters. `extras` names the properties that follow the colour coefficients as columns.
///
/// Errors      precondition_error for a cloud whose lists disagree and for a name that is not in `extra`.
template <class T>
raw_parameters<T> to_parameters(const gaussian_cloud& g, const std::vector<std::string>& extras = {}) {
  check_cloud(g, "sqs::gaussian::to_parameters");
  const idx n = static_cast<idx>(g.size()), coefficients = static_cast<idx>(3 * g.coefficients());
  raw_parameters<T> p;
  p.means.value = make_tensor<T, 2>({n, 3});
  p.log_scales.value = make_tensor<T, 2>({n, 3});
  p.rotations.value = make_tensor<T, 2>({n, 4});
  p.opacity_logits.value = make_tensor<T, 1>({n});
  p.colours.value = make_tensor<T, 2>({n, coefficients + static_cast<idx>(extras.size())});
  std::vector<const float*> columns;
  for (const auto& name : extras) { columns.push_back(detail::extra_of(g, name).data()); }
  for (idx i = 0; i < n; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const auto set = [i](tensor<T, 2>& t, std::initializer_list<float> row) {
      std::copy(row.begin(), row.end(), t.data() + i * t.extent(1));
    };
    set(p.means.value, {g.means[k].x, g.means[k].y, g.means[k].z});
    set(p.log_scales.value, {g.log_scales[k].x, g.log_scales[k].y, g.log_scales[k].z});
    set(p.rotations.value, {g.rotations[k].w, g.rotations[k].x, g.rotations[k].y, g.rotations[k].z});
    p.opacity_logits.value(i) = g.opacity_logits[k];
    const auto sh = g.sh_of(k);
    T* to = std::copy(sh.begin(), sh.end(), p.colours.value.data() + i * p.colours.value.extent(1));
    for (const float* column : columns) { *to++ = column[k]; }
  }
  return p;
}

/// The cloud of parameters, in float. Inverse of `to_parameters` for the same `extras`: for float, bit for bit.
///
/// Errors      precondition_error for tensors whose shapes disagree with each other, the degree and `extras`.
template <class T>
gaussian_cloud to_cloud(const raw_parameters<T>& p, int sh_degree, const std::vector<std::string>& extras = {}) {
  gaussian_cloud g;
  g.sh_degree = sh_degree;
  const idx n = p.count(), coefficients = static_cast<idx>(3 * g.coefficients());
  expects(sh_degree >= 0 && sh_degree <= sh_degree_max && p.means.value.extent(1) == 3 &&
              p.log_scales.value.size() == 3 * n && p.rotations.value.size() == 4 * n &&
              p.opacity_logits.value.size() == n &&
              p.colours.value.size() == n * (coefficients + static_cast<idx>(extras.size())),
          "sqs::gaussian::to_cloud: ", n, " means, ", p.log_scales.value.size(), " scales, ", p.rotations.value.size(),
          " rotation numbers, ", p.opacity_logits.value.size(), " opacities, ", p.colours.value.size(),
          " colour numbers do not fit together at degree ", sh_degree, " with ", extras.size(),
          " extras; give the degree (0 to 4) and the extras that the parameters were made with");
  const auto three = [](const tensor<T, 2>& t, idx i) {
    return vec3<float>{static_cast<float>(t(i, 0)), static_cast<float>(t(i, 1)), static_cast<float>(t(i, 2))};
  };
  std::vector<std::vector<float>*> columns;
  for (const auto& name : extras) {
    const auto [at, fresh] = g.extra.try_emplace(name);
    expects(fresh, "sqs::gaussian::to_cloud: the extra property '", name, "' is named twice; give each name once");
    columns.push_back(&at->second);
  }
  for (idx i = 0; i < n; ++i) {
    const auto& q = p.rotations.value;
    g.means.push_back(three(p.means.value, i));
    g.log_scales.push_back(three(p.log_scales.value, i));
    g.rotations.push_back({static_cast<float>(q(i, 0)), static_cast<float>(q(i, 1)), static_cast<float>(q(i, 2)),
                           static_cast<float>(q(i, 3))});
    g.opacity_logits.push_back(static_cast<float>(p.opacity_logits.value(i)));
    for (idx c = 0; c < coefficients; ++c) { g.sh.push_back(static_cast<float>(p.colours.value(i, c))); }
    idx c = coefficients;
    for (auto* column : columns) { column->push_back(static_cast<float>(p.colours.value(i, c++))); }
  }
  return g;
}

/// What a cloud looks like to the rasterizer: equal clouds give equal bits.
///
/// Errors      as `to_parameters`.
template <class T>
activated_gaussians<T> activated(cpu& e, const gaussian_cloud& g, const std::vector<std::string>& extras = {}) {
  auto p = to_parameters<T>(g, extras);
  auto [scales, opacities] = activate_op{}.forward(e, p.log_scales.value, p.opacity_logits.value).value;
  return {p.means.value, scales, p.rotations.value, opacities, p.colours.value};
}

} // namespace sqs::gaussian
