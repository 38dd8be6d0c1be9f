// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The numbers of a stored array, whatever type the file has them in.

#include <sqs/tensor/safetensors.hpp>

namespace sqs {

/// The value of an IEEE 754 half: exact.
inline float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = std::uint32_t{h & 0x8000u} << 16, magnitude = h & 0x7FFFu;
  if (magnitude >= 0x7C00u) { return std::bit_cast<float>(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13); }
  if (magnitude >= 0x400u) { return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23))); }
  const float small = static_cast<float>(magnitude) * 0x1p-24f; // subnormal
  return sign != 0 ? -small : small;
}
/// The nearest half, ties to even; beyond 65504 infinity.
inline std::uint16_t float_to_half(float f) {
  const auto bits = std::bit_cast<std::uint32_t>(f);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) { return static_cast<std::uint16_t>(sign | 0x7E00u); }
  if (magnitude >= 0x477FF000u) { return static_cast<std::uint16_t>(sign | 0x7C00u); } // rounds to 65536 or is more
  if (magnitude < 0x38800000u) { // below 2^-14: a multiple of 2^-24, rounded by the addition
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - 0x3F000000u));
  }
  const std::uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

namespace detail {

template <class Stored, class T, class F> void convert_numbers(const stored_tensor& s, std::vector<T>& out, F&& f) {
  out.resize(s.data.size() / sizeof(Stored));
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored v;
    std::memcpy(&v, s.data.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = f(v, i);
  }
}

} // namespace detail

/// The elements as float, in order.
///
/// Errors      file_error naming `name` for BF16.
inline std::vector<float> floats_of(const stored_tensor& s, const std::string& name) {
  std::vector<float> out;
  const auto plain = [](auto v, std::size_t) { return static_cast<float>(v); };
  const std::string_view d = s.dtype;
  if (d == "F32") {
    detail::convert_numbers<float>(s, out, plain);
  } else if (d == "F64") {
    detail::convert_numbers<double>(s, out, plain);
  } else if (d == "F16") {
    detail::convert_numbers<std::uint16_t>(s, out, [](std::uint16_t v, std::size_t) { return half_to_float(v); });
  } else if (d == "I64") {
    detail::convert_numbers<std::int64_t>(s, out, plain);
  } else if (d == "U64") {
    detail::convert_numbers<std::uint64_t>(s, out, plain);
  } else if (d == "I32") {
    detail::convert_numbers<std::int32_t>(s, out, plain);
  } else if (d == "U32") {
    detail::convert_numbers<std::uint32_t>(s, out, plain);
  } else if (d == "I16") {
    detail::convert_numbers<std::int16_t>(s, out, plain);
  } else if (d == "U16") {
    detail::convert_numbers<std::uint16_t>(s, out, plain);
  } else if (d == "I8") {
    detail::convert_numbers<std::int8_t>(s, out, plain);
  } else if (d == "U8" || d == "BOOL") {
    detail::convert_numbers<std::uint8_t>(s, out, plain);
  } else {
    raise<file_error>("sqs::floats_of: ", name, " holds ", s.dtype, "; save it as F32");
  }
  return out;
}

/// The elements as integers, in order.
///
/// Errors      file_error naming `name`, the element and its value for what is no integer (also NaN) or beyond 2^53.
inline std::vector<std::int64_t> integers_of(const stored_tensor& s, const std::string& name) {
  std::vector<std::int64_t> out;
  const auto exact = [&](double v, std::size_t i) {
    if (!(std::abs(v) <= 0x1p53) || v != std::floor(v)) {
      raise<file_error>("sqs::integers_of: ", name, " holds ", v, " as element ", i, " instead of an integer");
    }
    return static_cast<std::int64_t>(v);
  };
  const auto plain = [](auto v, std::size_t) { return static_cast<std::int64_t>(v); };
  const std::string_view d = s.dtype;
  if (d == "I64") {
    detail::convert_numbers<std::int64_t>(s, out, plain);
  } else if (d == "I32") {
    detail::convert_numbers<std::int32_t>(s, out, plain);
  } else if (d == "U32") {
    detail::convert_numbers<std::uint32_t>(s, out, plain);
  } else if (d == "I16") {
    detail::convert_numbers<std::int16_t>(s, out, plain);
  } else if (d == "U16") {
    detail::convert_numbers<std::uint16_t>(s, out, plain);
  } else if (d == "I8") {
    detail::convert_numbers<std::int8_t>(s, out, plain);
  } else if (d == "U8" || d == "BOOL") {
    detail::convert_numbers<std::uint8_t>(s, out, plain);
  } else if (d == "F64") {
    detail::convert_numbers<double>(s, out, exact);
  } else if (d == "U64") {
    detail::convert_numbers<std::uint64_t>(
        s, out, [&](std::uint64_t v, std::size_t i) { return exact(static_cast<double>(v), i); });
  } else {
    const auto f = floats_of(s, name);
    for (std::size_t i = 0; i < f.size(); ++i) { out.push_back(exact(static_cast<double>(f[i]), i)); }
  }
  return out;
}

} // namespace sqs
