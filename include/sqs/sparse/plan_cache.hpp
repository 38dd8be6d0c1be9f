// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Plans kept from frame to frame: what a rig of cameras lifts to, or a map, has the same sites again and again.

#include <sqs/sparse/bricks.hpp>
#include <sqs/sparse/plan_builder.hpp>

#include <cstring>
#include <list>
#include <variant>

namespace sqs::sparse {

namespace detail {
template <class T> bool same_numbers(const tensor<T, 1>& a, const tensor<T, 1>& b) {
  return a.size() == b.size() && (a.data() == b.data() || a.size() == 0 ||
                                  std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0);
}
} // namespace detail

/// True if both have the same rows at the same places of the same grid, whether or not they are the same handles.
///
/// Cost        Nothing for handles to the same sites, otherwise one pass over the keys.
template <int D> bool same_places(const sites<D>& a, const sites<D>& b) {
  return a.rows == b.rows && a.batches() == b.batches() && a.grid() == b.grid() && detail::same_numbers(a.key, b.key) &&
         detail::same_numbers(a.order, b.order) && detail::same_numbers(a.voxel, b.voxel);
}

/// Plans by what they were made from. A plan is found again when sites, kernel and numbers are equal: everything is
/// compared, so a wrong plan cannot come out. Holds the `most` plans that were used last. A value, not thread-safe: one
/// for each rig and thread.
///
/// Errors      precondition_error for `most` below 1, and those of the functions that make the plans.
/// Cost        A hit compares at most the keys of every kept plan of as many rows; a miss makes the plan.
template <int D = 3> class plan_cache {
public:
  explicit plan_cache(idx most = 16) : most_(most) {
    expects(most > 0, "sqs::sparse::plan_cache: room for ", most, " plans; give at least 1");
  }

  /// See `make_submanifold_plan`, and `with_bricks` for the policy.
  convolution_plan submanifold(cpu& e, const sites<D>& s, const std::type_identity_t<tap_set<D>>& taps,
                               const typename sites<D>::position& dilation = detail::filled<D>(1),
                               duplicate_rule rule = duplicate_rule::symmetric,
                               brick_policy bricks = brick_policy::never) {
    return find(s, submanifold_kind{taps, dilation, rule, bricks},
                [&] {
                  return site_plan<D>{with_bricks(e, make_submanifold_plan(e, s, taps, dilation, rule), bricks), s, s};
                })
        .plan;
  }
  /// See `make_convolution_plan`. The output sites are the same handles each time, so that what follows is found, too.
  site_plan<D> convolution(cpu& e, const sites<D>& s, const std::type_identity_t<relation<D>>& r) {
    return find(s, strided_kind{r}, [&] { return make_convolution_plan(e, s, r); });
  }

  idx size() const { return static_cast<idx>(kept_.size()); }
  idx hits() const { return hits_; }
  idx misses() const { return misses_; }

private:
  struct submanifold_kind {
    tap_set<D> taps;
    typename sites<D>::position dilation;
    duplicate_rule rule;
    brick_policy bricks;
    friend bool operator==(const submanifold_kind&, const submanifold_kind&) = default;
  };
  struct strided_kind {
    relation<D> r;
    friend bool operator==(const strided_kind&, const strided_kind&) = default;
  };
  using kind = std::variant<submanifold_kind, strided_kind>;
  struct entry {
    kind what;
    sites<D> at;
    site_plan<D> plan;
  };

  template <class Make> site_plan<D> find(const sites<D>& s, const kind& what, Make&& make) {
    for (auto it = kept_.begin(); it != kept_.end(); ++it) {
      if (it->what == what && same_places(it->at, s)) {
        kept_.splice(kept_.begin(), kept_, it);
        ++hits_;
        return kept_.front().plan;
      }
    }
    ++misses_;
    kept_.push_front({what, s, make()});
    if (static_cast<idx>(kept_.size()) > most_) { kept_.pop_back(); }
    return kept_.front().plan;
  }

  idx most_, hits_ = 0, misses_ = 0;
  std::list<entry> kept_; ///< used last first
};

} // namespace sqs::sparse
