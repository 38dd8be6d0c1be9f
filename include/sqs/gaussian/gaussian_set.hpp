// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// G Gaussians as a structure of arrays over a compile-time list of attributes.

#include <sqs/gaussian/attribute.hpp>
#include <sqs/tensor/tensor.hpp>

#include <tuple>

namespace sqs {

namespace detail {

/// `type`, whatever the second argument: one of something per element of a pack.
template <class Type, class> struct first_of { using type = Type; };
template <class Wanted, class... A> inline constexpr int times_listed = (0 + ... + (std::is_same_v<Wanted, A> ? 1 : 0));
template <class... A> constexpr bool names_differ() {
  constexpr std::array<std::string_view, sizeof...(A)> names{A::name...};
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (std::size_t j = i + 1; j < names.size(); ++j) {
      if (names[i] == names[j]) { return false; }
    }
  }
  return true;
}

} // namespace detail

/// G Gaussians with scalar T; see `gaussian_set` for float.
///
/// Shapes      one tensor [G, A::dim] per attribute A; rows belong together.
/// Invariant   all tensors have G rows.
template <class T, class... Attributes> class basic_gaussian_set {
  static_assert((gaussian_attribute<Attributes> && ...),
                "sqs::gaussian_set: an attribute lacks one of name, dim, blended, map; see sqs/gaussian/attribute.hpp");
  static_assert((std::is_same_v<Attributes, attr::mean> || ...),
                "sqs::gaussian_set: every Gaussian needs attr::mean; add it to the attribute list");
  static_assert(((detail::times_listed<Attributes, Attributes...> == 1) && ...),
                "sqs::gaussian_set: an attribute is listed twice; list each once");
  static_assert(detail::names_differ<Attributes...>(),
                "sqs::gaussian_set: two attributes have the same name; names become tensor names in files, so they "
                "must differ");

public:
  using value_type = T;
  /// Numbers per Gaussian.
  static constexpr int dim = (0 + ... + Attributes::dim);
  /// Numbers per Gaussian that are blended into the image, in list order.
  static constexpr int channels = (0 + ... + (Attributes::blended ? Attributes::dim : 0));

  basic_gaussian_set() = default;
  /// From one tensor per attribute, in list order.
  ///
  /// Errors      precondition_error naming the attribute whose tensor has the wrong shape.
  explicit basic_gaussian_set(typename detail::first_of<tensor<T, 2>, Attributes>::type... x)
      : tensors_{std::move(x)...} {
    (check<Attributes>(), ...);
  }
  /// G Gaussians with all numbers zero.
  template <executor E> static basic_gaussian_set zeros(E& e, idx count) {
    return basic_gaussian_set(sqs::zeros<T, 2>(e, {count, Attributes::dim})...);
  }

  idx count() const { return get<attr::mean>().extent(0); }
  /// The tensor [G, A::dim] of an attribute.
  template <class A> tensor<T, 2>& get() { return std::get<index_of<A>()>(tensors_); }
  template <class A> const tensor<T, 2>& get() const { return std::get<index_of<A>()>(tensors_); }
  template <class A> static constexpr bool has = detail::times_listed<A, Attributes...> == 1;

  /// Where attribute A begins among the blended channels of an image.
  template <class A> static constexpr int channel_of() {
    static_assert(has<A> && A::blended, "sqs::gaussian_set: this attribute is not a blended one of this set");
    int offset = 0;
    bool found = false;
    ((found = found || std::is_same_v<A, Attributes>, offset += (found || !Attributes::blended) ? 0 : Attributes::dim),
     ...);
    return offset;
  }
  /// Calls `f(attribute{}, tensor)` for every attribute, in list order.
  template <class F> void for_each_attribute(F&& f) const { (f(Attributes{}, get<Attributes>()), ...); }
  template <class F> void for_each_attribute(F&& f) { (f(Attributes{}, get<Attributes>()), ...); }

private:
  template <class A> static constexpr std::size_t index_of() {
    static_assert(has<A>, "sqs::gaussian_set: this set has no such attribute; add it to the attribute list");
    std::size_t i = 0;
    static_cast<void>(((std::is_same_v<A, Attributes> || (++i, false)) || ...));
    return i;
  }
  template <class A> void check() const {
    const auto& x = get<A>();
    expects(x.extent(0) == count() && x.extent(1) == A::dim, "sqs::gaussian_set: attribute ", A::name, " is [",
            x.extent(0), ", ", x.extent(1), "] but must be [", count(), ", ", A::dim, "]; give one row per mean");
  }
  std::tuple<typename detail::first_of<tensor<T, 2>, Attributes>::type...> tensors_;
};

/// G Gaussians in float.
template <class... Attributes> using gaussian_set = basic_gaussian_set<float, Attributes...>;

} // namespace sqs
