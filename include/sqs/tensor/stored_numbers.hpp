// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The numbers of a stored array, whatever type the file has them in.

#include <sqs/tensor/safetensors.hpp>

namespace sqs {

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
    detail::convert_numbers<std::uint16_t>(s, out, [](std::uint16_t v, std::size_t) { return float_of_half(v); });
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
