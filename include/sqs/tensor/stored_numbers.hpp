// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The numbers of a stored array, whatever type the file has them in.

#include <sqs/tensor/safetensors.hpp>

namespace sqs {

namespace detail {

/// Calls `f` with a value-initialised number of the type that `dtype` names; false if it names none.
template <class F> bool with_stored_type(std::string_view dtype, F&& f) {
  const auto is = [&]<class T>(std::string_view name, T zero) {
    if (dtype != name) { return false; }
    f(zero);
    return true;
  };
  return is("F64", double{}) || is("F32", float{}) || is("F16", float16(0)) || is("BF16", bfloat16(0)) ||
         is("I64", std::int64_t{}) || is("U64", std::uint64_t{}) || is("I32", std::int32_t{}) ||
         is("U32", std::uint32_t{}) || is("I16", std::int16_t{}) || is("U16", std::uint16_t{}) ||
         is("I8", std::int8_t{}) || is("U8", std::uint8_t{}) || is("BOOL", std::uint8_t{});
}

/// The elements through `f(value, index)`.
template <class T, class F> std::vector<T> stored_as(const stored_tensor& s, const std::string& name, F&& f) {
  std::vector<T> out;
  const bool known = with_stored_type(s.dtype, [&]<class Stored>(Stored v) {
    out.resize(s.data.size() / sizeof(Stored));
    for (std::size_t i = 0; i < out.size(); ++i) {
      std::memcpy(&v, s.data.data() + i * sizeof(Stored), sizeof(Stored));
      out[i] = f(v, i);
    }
  });
  if (!known) { raise<file_error>("sqs::stored_numbers: ", name, " holds ", s.dtype, "; save it as F32"); }
  return out;
}

} // namespace detail

/// The elements as float, in order.
///
/// Errors      file_error naming `name` for a type that is no number of 8 to 64 bits.
inline std::vector<float> floats_of(const stored_tensor& s, const std::string& name) {
  return detail::stored_as<float>(s, name, [](auto v, std::size_t) { return static_cast<float>(v); });
}

/// The elements as integers, in order.
///
/// Errors      as `floats_of`, and naming the element and its value for what is no integer (also NaN) or beyond 2^53.
inline std::vector<std::int64_t> integers_of(const stored_tensor& s, const std::string& name) {
  return detail::stored_as<std::int64_t>(s, name, [&]<class Stored>(Stored v, std::size_t i) {
    if constexpr (std::is_integral_v<Stored> && !std::is_same_v<Stored, std::uint64_t>) {
      return static_cast<std::int64_t>(v); // fits as it is
    } else {
      const auto d = static_cast<double>(v);
      if (!(std::abs(d) <= 0x1p53) || d != std::floor(d)) {
        raise<file_error>("sqs::integers_of: ", name, " holds ", d, " as element ", i, " instead of an integer");
      }
      return static_cast<std::int64_t>(d);
    }
  });
}

} // namespace sqs
