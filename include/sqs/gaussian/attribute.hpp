// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a Gaussian can carry. An attribute is a struct of constants; a new one takes six lines and any program that
/// lists it stores, trains and renders it:
///
///   struct velocity {                                   // m/s in the ground plane
///     static constexpr std::string_view name = "velocity";
///     static constexpr int dim = 2;
///     static constexpr bool blended = true;             // two more image channels
///     using map = sqs::attr::identity_map;              // raw parameter -> used value
///   };

#include <sqs/core/math.hpp>

#include <concepts>
#include <string_view>

namespace sqs {

namespace attr {

/// Raw parameter -> used value, pointwise: `value(x)`, and `slope(x, y)` = dy/dx at x with y = value(x).
struct identity_map {
  template <class T> SQS_HD static T value(T x) { return x; }
  template <class T> SQS_HD static T slope(T, T) { return T(1); }
};
/// Positive values: scales of 3D Gaussian splatting and its files.
struct exp_map {
  template <class T> SQS_HD static T value(T x) {
    using std::exp;
    return exp(x);
  }
  template <class T> SQS_HD static T slope(T, T y) { return y; }
};
/// Values in (0, 1): opacity, colour.
struct sigmoid_map {
  template <class T> SQS_HD static T value(T x) { return sigmoid(x); }
  template <class T> SQS_HD static T slope(T, T y) { return y * (T(1) - y); }
};

/// Centre, metres in the reference frame.
struct mean {
  static constexpr std::string_view name = "mean";
  static constexpr int dim = 3;
  static constexpr bool blended = false;
  using map = identity_map;
};
/// Standard deviation along the Gaussian's own axes, metres.
struct scale {
  static constexpr std::string_view name = "scale";
  static constexpr int dim = 3;
  static constexpr bool blended = false;
  using map = exp_map;
};
/// Quaternion (w,x,y,z) of any length; whoever turns with it normalises it.
struct rotation {
  static constexpr std::string_view name = "rotation";
  static constexpr int dim = 4;
  static constexpr bool blended = false;
  using map = identity_map;
};
/// Peak of alpha.
struct opacity {
  static constexpr std::string_view name = "opacity";
  static constexpr int dim = 1;
  static constexpr bool blended = false;
  using map = sigmoid_map;
};
/// Colour, 0 .. 1.
struct rgb {
  static constexpr std::string_view name = "rgb";
  static constexpr int dim = 3;
  static constexpr bool blended = true;
  using map = sigmoid_map;
};
/// N numbers without a meaning of their own.
template <int N> struct feature {
  static_assert(N > 0, "sqs::attr::feature: N must be positive");
  static constexpr std::string_view name = "feature";
  static constexpr int dim = N;
  static constexpr bool blended = true;
  using map = identity_map;
};

} // namespace attr

/// A struct usable in a `gaussian_set`: `name`, `dim`, `blended` and `map`.
template <class A>
concept gaussian_attribute = requires {
  { A::name } -> std::convertible_to<std::string_view>;
  { A::dim } -> std::convertible_to<int>;
  { A::blended } -> std::convertible_to<bool>;
  { A::map::value(1.0) } -> std::convertible_to<double>;
  { A::map::slope(1.0, 1.0) } -> std::convertible_to<double>;
};

} // namespace sqs
