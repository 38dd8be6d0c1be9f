// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Large kernels decomposed into planes: (k, k, 1), (k, 1, k), (1, k, k) one after another or in branches that are
/// added. All of them live on one set of sites and come out of one search.

#include <sqs/sparse/block.hpp>
#include <sqs/sparse/plan_builder.hpp>

#include <vector>

namespace sqs::sparse {

/// The submanifold plans of one set of sites: one search for the largest kernel, every smaller one is taken out of it
/// when it is first asked for. A value: copies share what has been made so far.
template <int D = 3> class shared_plans {
public:
  /// Errors      precondition_error for an even kernel.
  shared_plans(cpu& e, const sites<D>& at, const std::type_identity_t<tap_set<D>>& kernel,
               const typename sites<D>::position& dilation = detail::filled<D>(1))
      : kernel_(kernel) {
    made_.emplace_back(kernel, make_submanifold_plan(e, at, kernel, dilation));
  }
  const tap_set<D>& kernel() const { return kernel_; }
  /// Errors      precondition_error if `taps` does not lie in the middle of the kernel.
  convolution_plan of(cpu& e, const std::type_identity_t<tap_set<D>>& taps) {
    for (const auto& [set, plan] : made_) {
      if (set == taps) { return plan; }
    }
    made_.emplace_back(taps, restricted_plan<D>(e, made_.front().second, kernel_, taps));
    return made_.back().second;
  }

private:
  tap_set<D> kernel_;
  std::vector<std::pair<tap_set<D>, convolution_plan>> made_;
};

/// Convolutions one after another: `in_sequence<taps<3, 3, 1>, taps<3, 1, 3>>`.
template <class First, class... Rest> struct in_sequence {
  static constexpr int dimensions = First::dimensions;
  using set = tap_set<dimensions>;
  static constexpr std::array<set, 1 + sizeof...(Rest)> list{First::set, Rest::set...};
  /// The smallest kernel that holds all of them.
  static constexpr set kernel() {
    set hull;
    for (const set& taps : list) {
      for (std::size_t a = 0; a < hull.extent.size(); ++a) {
        hull.extent[a] = std::max(hull.extent[a], taps.extent[a]);
      }
    }
    return hull;
  }
};
/// Sequences side by side, added: `in_parallel<in_sequence<...>, in_sequence<...>>`.
template <class First, class... Rest> struct in_parallel {
  static constexpr int dimensions = First::dimensions;
  using set = tap_set<dimensions>;
  /// The smallest kernel that holds all of them.
  static constexpr set kernel() {
    set hull = First::kernel();
    for (std::size_t a = 0; a < hull.extent.size(); ++a) {
      ((hull.extent[a] = std::max(hull.extent[a], Rest::kernel().extent[a])), ...);
    }
    return hull;
  }
  static std::vector<std::vector<set>> branches() {
    return {std::vector<set>(First::list.begin(), First::list.end()),
            std::vector<set>(Rest::list.begin(), Rest::list.end())...};
  }
};

/// The three planes of a cube, one after another.
using plane_sequence = in_parallel<in_sequence<taps<3, 3, 1>, taps<3, 1, 3>, taps<1, 3, 3>>>;
/// Two asymmetric branches. Source: SparseOcc's aggregation block, after Cylinder3D.
using asymmetric_planes =
    in_parallel<in_sequence<taps<3, 3, 1>, taps<3, 1, 3>>, in_sequence<taps<1, 3, 3>, taps<3, 3, 1>>>;
/// Two wide planes one after another, for coarse grids that are flat.
using wide_planes = in_parallel<in_sequence<taps<5, 5, 1>, taps<5, 5, 1>>>;

/// The policy of an orthogonal block. Derive from it and say what differs.
struct orthogonal_policy : leaky_block_policy {
  using shape = asymmetric_planes;
  static constexpr activation after{}; ///< of the sum of the branches
};

/// Some convolution blocks one after another, with the taps they were made for.
template <class T, class Policy> struct convolution_sequence {
  std::vector<convolution_block<T, Policy>> layers;
  SQS_MEMBERS(convolution_sequence, layers)
};

/// Branches of orthogonal convolutions, added: each convolution has a norm, all but the last of a branch the policy's
/// activation. The last of a branch changes the number of channels.
///
/// Shapes      x [N, in] -> [N, out], rows at the sites of `plans`
/// Source      SparseOcc (arXiv 2404.09502), its "sparse latent diffuser".
template <class T, class Policy = orthogonal_policy> struct orthogonal_block {
  using shape = typename Policy::shape;
  static constexpr tap_set<shape::dimensions> kernel = shape::kernel(); ///< what `shared_plans` must hold
  std::vector<convolution_sequence<T, Policy>> branches;

  static orthogonal_block make(idx in, idx out, initializer& init) {
    orthogonal_block b;
    for (const auto& taps : shape::branches()) {
      auto& layers = b.branches.emplace_back().layers;
      for (std::size_t i = 0; i < taps.size(); ++i) {
        layers.push_back(
            convolution_block<T, Policy>::make(in, i + 1 == taps.size() ? out : in, taps[i].count(), init));
      }
    }
    return b;
  }
  template <graph G>
  variable<G, T, 2> operator()(G& g, variable<G, T, 2> x, shared_plans<shape::dimensions>& plans) const {
    const auto taps = shape::branches();
    std::optional<variable<G, T, 2>> sum;
    for (std::size_t b = 0; b < taps.size(); ++b) {
      const auto& layers = branches[b].layers;
      auto y = b + 1 == taps.size() ? std::move(x) : x;
      for (std::size_t i = 0; i + 1 < taps[b].size(); ++i) {
        y = layers[i](g, std::move(y), plans.of(g.exec(), taps[b][i]));
      }
      const auto act = b + 1 == taps.size() ? Policy::after : activation{};
      sum = layers.back().then(g, std::move(y), plans.of(g.exec(), taps[b].back()), std::move(sum), act);
    }
    return *std::move(sum);
  }
  SQS_MEMBERS(orthogonal_block, branches)
};

} // namespace sqs::sparse
