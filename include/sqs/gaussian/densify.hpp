// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Adaptive density control: where a fit pulls hard on Gaussians it gets more of them, and those that nobody sees go.

#include <sqs/core/random.hpp>
#include <sqs/gaussian/cloud.hpp>
#include <sqs/sensor/rig.hpp>

namespace sqs::gaussian {

/// When Gaussians are added and removed. A limit of 0 is off.
///
/// Source      Kerbl et al. 2023, section 5.2; the numbers are gsplat's defaults.
struct density_config {
  double extent = 1;            ///< m: the size of the scene, of which the limits of scales are shares
  double grow_gradient = 2e-4;  ///< mean gradient of the projected centre above which a Gaussian grows
  double split_scale = 0.01;    ///< share of `extent`: with a larger axis it is split, else cloned
  double split_radius = 0;      ///< share of the image's longer side: split also with a larger radius
  double prune_opacity = 0.005; ///< below, it is removed
  double prune_scale = 0.1;     ///< share of `extent`: removed with a larger axis
  double prune_radius = 0;      ///< share of the image's longer side: removed with a larger radius
  double shrink = 1.6;          ///< the halves of a split have scales smaller by this
  idx most = idx{1} << 22;      ///< growth ends at so many Gaussians; those pulled hardest come first
};

/// What a run of steps saw of each Gaussian.
///
/// Shapes      gradient, radius [G], views [G]
template <class T> struct density_statistics {
  tensor<T, 1> gradient; ///< sum of the norms
  tensor<T, 1> radius;   ///< largest, as a share of the image's longer side
  tensor<T, 1> views;    ///< times it was drawn

  density_statistics() = default;
  explicit density_statistics(idx count)
      : gradient(make_tensor<T, 1>({count})),
        radius(make_tensor<T, 1>({count})),
        views(make_tensor<T, 1>({count})) {}

  /// Adds one step: the gradients of the projected centres (or their absolute sums) and the radii, as the rasterizer
  /// gives them.
  ///
  /// Shapes      means2d_gradient [V,G,2] in 1/px; radii [V,G] in px, 0 where it is not drawn; V the views of `rig`
  /// Units       The gradient is counted per half image, times V: for a loss that is a mean over views, neither the size of
  ///             the images nor their number changes what `density_config::grow_gradient` means.
  /// Execution   parallel over Gaussians; bitwise the same for any thread count.
  /// Errors      precondition_error for shapes that do not match.
  void add(cpu& e, const tensor<T, 3>& means2d_gradient, const tensor<T, 2>& radii, const camera_rig<T>& rig) {
    const idx n = gradient.extent(0), v_count = rig.size();
    expects(means2d_gradient.shape() == extents<3>{v_count, n, 2} && radii.shape() == extents<2>{v_count, n},
            "sqs::gaussian::density_statistics: the gradients are [", means2d_gradient.extent(0), ", ",
            means2d_gradient.extent(1), ", ", means2d_gradient.extent(2), "], the radii [", radii.extent(0), ", ",
            radii.extent(1), "] but must be [", v_count, ", ", n, ", 2] and [", v_count, ", ", n,
            "]; make new statistics after Gaussians were added or removed");
    T *sum = gradient.data(), *largest = radius.data(), *seen = views.data();
    parallel_for(e, n, 1 << 12, [&, sum, largest, seen](idx begin, idx end) {
      for (idx v = 0; v < v_count; ++v) {
        const auto& camera = rig[static_cast<int>(v)].camera;
        const T half_w = T(0.5) * T(camera.width) * T(v_count), half_h = T(0.5) * T(camera.height) * T(v_count);
        const T side = T(std::max(camera.width, camera.height));
        const T *d = means2d_gradient.data() + v * n * 2, *r = radii.data() + v * n;
        for (idx i = begin; i < end; ++i) {
          if (!(r[i] > T(0))) { continue; }
          const T x = half_w * d[2 * i], y = half_h * d[2 * i + 1];
          sum[i] += std::sqrt(x * x + y * y);
          largest[i] = std::max(largest[i], r[i] / side);
          seen[i] += T(1);
        }
      }
    });
  }
};

/// The rows of the next set of Gaussians: the kept ones in their order, then the clones, then two halves of each split.
struct density_plan {
  std::vector<idx> rows;    ///< the old row of each new one
  std::vector<idx> moments; ///< the same for rows that stay, -1 for new ones: what an optimiser's moments follow
  idx kept = 0, cloned = 0, split = 0, pruned = 0;
};

namespace detail {
template <class T> T largest_of_row(const tensor<T, 2>& x, idx row) {
  return *std::max_element(x.data() + row * x.extent(1), x.data() + (row + 1) * x.extent(1));
}
template <class T> bool finite_row(const raw_parameters<T>& p, idx i) {
  T sum = p.opacity_logits.value(i) * T(0); // 0 for a finite number, NaN for any other
  for (const auto* x : {&p.means.value, &p.log_scales.value, &p.rotations.value, &p.colours.value}) {
    for (idx c = 0; c < x->extent(1); ++c) { sum += (*x)(i, c) * T(0); }
  }
  return sum == T(0);
}
} // namespace detail

/// Decides which Gaussians grow and which go; changes nothing. Gaussians that are not finite go too.
///
/// Execution   serial, O(G log G); a pure function.
/// Errors      precondition_error for statistics of another number of Gaussians.
/// Source      Kerbl et al. 2023, section 5.2, in the form of gsplat's default strategy: clone what is small, split
///             what is large, remove what is faint or too large.
template <class T>
density_plan plan_density(const raw_parameters<T>& p, const density_statistics<T>& s, const density_config& c) {
  const idx n = p.count();
  expects(s.gradient.extent(0) == n, "sqs::gaussian::plan_density: statistics of ", s.gradient.extent(0),
          " Gaussians for ", n, "; make new ones after Gaussians were added or removed");
  expects(c.shrink > 0 && c.extent > 0 && c.most >= 0 && c.prune_opacity >= 0 && c.prune_opacity < 1,
          "sqs::gaussian::plan_density: shrink is ", c.shrink, ", extent ", c.extent, " m, most ", c.most,
          ", prune_opacity ", c.prune_opacity, "; give positive sizes and an opacity in [0, 1)");
  struct candidate {
    T pull;
    idx row;
    bool large;
  };
  enum class fate : std::uint8_t { kept, pruned, split };
  std::vector<fate> fates(static_cast<std::size_t>(n), fate::kept);
  std::vector<candidate> growing;
  density_plan plan;
  const auto above = [](T value, double limit) { return limit > 0 && value > T(limit); };
  const T faint = static_cast<T>(logit(std::clamp(c.prune_opacity, 1e-300, 1 - 1e-16)));
  for (idx i = 0; i < n; ++i) {
    const T scale = std::exp(detail::largest_of_row(p.log_scales.value, i)), radius = s.radius(i);
    const bool goes = !detail::finite_row(p, i) || (c.prune_opacity > 0 && p.opacity_logits.value(i) < faint) ||
                      above(scale, c.prune_scale * c.extent) || above(radius, c.prune_radius);
    if (goes) {
      fates[static_cast<std::size_t>(i)] = fate::pruned;
      ++plan.pruned;
      continue;
    }
    const T pull = s.gradient(i) / std::max(T(1), s.views(i));
    if (!above(pull, c.grow_gradient)) { continue; }
    growing.push_back({pull, i, above(scale, c.split_scale * c.extent) || above(radius, c.split_radius)});
  }
  const auto room = static_cast<std::size_t>(std::max<idx>(0, c.most - (n - plan.pruned)));
  std::sort(growing.begin(), growing.end(),
            [](const candidate& a, const candidate& b) { return a.pull != b.pull ? a.pull > b.pull : a.row < b.row; });
  if (growing.size() > room) { growing.resize(room); } // either kind of growth makes one more
  std::sort(growing.begin(), growing.end(), [](const candidate& a, const candidate& b) { return a.row < b.row; });
  for (const auto& g : growing) {
    if (g.large) { fates[static_cast<std::size_t>(g.row)] = fate::split; }
  }
  for (idx i = 0; i < n; ++i) {
    if (fates[static_cast<std::size_t>(i)] == fate::kept) { plan.rows.push_back(i); }
  }
  plan.moments = plan.rows;
  plan.kept = static_cast<idx>(plan.rows.size());
  for (const auto& g : growing) {
    if (!g.large) { plan.rows.push_back(g.row); }
  }
  plan.cloned = static_cast<idx>(plan.rows.size()) - plan.kept;
  for (const auto& g : growing) {
    if (g.large) { plan.rows.insert(plan.rows.end(), 2, g.row); }
  }
  plan.split = (static_cast<idx>(plan.rows.size()) - plan.kept - plan.cloned) / 2;
  plan.moments.resize(plan.rows.size(), -1);
  return plan;
}

/// The Gaussians of a plan, in new tensors. The halves of a split lie where two draws from the old Gaussian fell.
///
/// Execution   A draw depends on `seed`, `step`, the old row and the half alone.
/// Errors      precondition_error for a plan that names rows that do not exist.
template <class T> raw_parameters<T> rearranged(const raw_parameters<T>& p, const density_plan& plan,
                                                const density_config& c, std::uint64_t seed, std::int64_t step) {
  const idx n = static_cast<idx>(plan.rows.size()), first_half = plan.kept + plan.cloned;
  for (const idx row : plan.rows) {
    expects(row >= 0 && row < p.count(), "sqs::gaussian::rearranged: the plan names row ", row, " of ", p.count(),
            "; make the plan from these parameters");
  }
  const auto gathered = [&](const auto& from) {
    auto shape = from.shape();
    const idx columns = from.extent(0) == 0 ? 0 : from.size() / from.extent(0);
    shape[0] = n;
    auto to = make_tensor<T, std::remove_cvref_t<decltype(from)>::rank>(shape);
    for (idx i = 0; i < n; ++i) {
      std::copy_n(from.data() + plan.rows[static_cast<std::size_t>(i)] * columns, columns, to.data() + i * columns);
    }
    return to;
  };
  raw_parameters<T> out;
  out.means.value = gathered(p.means.value);
  out.log_scales.value = gathered(p.log_scales.value);
  out.rotations.value = gathered(p.rotations.value);
  out.opacity_logits.value = gathered(p.opacity_logits.value);
  out.colours.value = gathered(p.colours.value);
  for (idx i = first_half; i < n; ++i) {
    const auto draw = random_stream::of(seed, step, plan.rows[static_cast<std::size_t>(i)], (i - first_half) % 2);
    T *mean = out.means.value.data() + 3 * i, *log_scale = out.log_scales.value.data() + 3 * i;
    const T* q = out.rotations.value.data() + 4 * i;
    const vec3<T> offset =
        rotation_matrix(normalized(quaternion<T>{q[0], q[1], q[2], q[3]})) *
        vec3<T>{std::exp(log_scale[0]) * T(draw.normal(0)), std::exp(log_scale[1]) * T(draw.normal(1)),
                std::exp(log_scale[2]) * T(draw.normal(2))};
    mean[0] += offset.x, mean[1] += offset.y, mean[2] += offset.z;
    for (int axis = 0; axis < 3; ++axis) { log_scale[axis] -= static_cast<T>(std::log(c.shrink)); }
  }
  return out;
}

/// Lowers every opacity to at most `limit`, so that Gaussians must earn it anew. The optimiser's moments of
/// `opacity_logits` mean nothing afterwards: let it forget them.
///
/// Errors      precondition_error for a limit outside (0, 1).
template <class T> void reset_opacities(raw_parameters<T>& p, double limit = 0.01) {
  expects(limit > 0 && limit < 1, "sqs::gaussian::reset_opacities: the limit is ", limit,
          "; give an opacity inside (0, 1)");
  const T most = static_cast<T>(logit(limit));
  for (T& o : p.opacity_logits.value) { o = std::min(o, most); }
}

} // namespace sqs::gaussian
