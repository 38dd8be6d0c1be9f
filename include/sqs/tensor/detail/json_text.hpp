// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Strings of JSON: UTF-8 and escapes.

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace sqs::detail {

/// True where one of eight bytes is a quote, a backslash, a control character or no ASCII.
inline bool special_in(std::uint64_t w) {
  constexpr std::uint64_t ones = 0x0101010101010101ull, high = 0x8080808080808080ull;
  const auto zero_in = [](std::uint64_t v) { return (v - ones) & ~v & high; };
  return ((w | zero_in(w ^ (ones * '"')) | zero_in(w ^ (ones * '\\')) | zero_in(w & (ones * 0xE0))) & high) != 0;
}

/// Length of the UTF-8 sequence at `p`, 0 if it is none (overlong, surrogate, beyond U+10FFFF), -1 if it is cut off.
inline int utf8_length(const unsigned char* p, const unsigned char* end) {
  const int n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
  for (int i = 1; i < n; ++i) {
    if (p + i == end) { return -1; }
    const unsigned low = i > 1 ? 0x80 : p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    const unsigned top = i > 1 ? 0xBF : p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[i] < low || p[i] > top) { return 0; }
  }
  return n;
}

/// Adds a code point.
inline void append_utf8(std::string& out, std::uint32_t v) {
  const int extra = v < 0x80 ? 0 : v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
  constexpr std::uint32_t lead[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(lead[extra] | v >> (6 * extra));
  for (int i = extra; i-- > 0;) { out += static_cast<char>(0x80 | ((v >> (6 * i)) & 0x3F)); }
}

/// Of a string whose escapes have been checked.
inline std::string unescaped(std::string_view s) {
  std::string out;
  const auto code_at = [&](std::size_t i) {
    std::uint32_t v = 0;
    std::from_chars(s.data() + i, s.data() + i + 4, v, 16);
    return v;
  };
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    const char c = s[++i];
    if (c != 'u') {
      const auto k = std::string_view("bfnrt").find(c);
      out += k == std::string_view::npos ? c : "\b\f\n\r\t"[k];
      continue;
    }
    std::uint32_t v = code_at(i + 1);
    i += 4;
    if (v >= 0xD800 && v < 0xDC00) {
      v = 0x10000 + ((v - 0xD800) << 10) + (code_at(i + 3) - 0xDC00);
      i += 6;
    }
    append_utf8(out, v);
  }
  return out;
}

} // namespace sqs::detail
