// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Text as code points, and which of them are letters: as much as captions need.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sqs::metric::detail {

/// The code points of UTF-8; a byte that begins none stands for itself as U+FFFD.
inline std::vector<char32_t> code_points(std::string_view text) {
  std::vector<char32_t> out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto b = static_cast<unsigned char>(text[i]);
    const std::size_t more = b < 0x80                ? 0
                             : b >= 0xC2 && b < 0xE0 ? 1
                             : b >= 0xE0 && b < 0xF0 ? 2
                             : b >= 0xF0 && b < 0xF5 ? 3
                                                     : 4;
    char32_t c = more == 0 ? b : more == 1 ? b & 0x1Fu : more == 2 ? b & 0x0Fu : b & 0x07u;
    bool good = more < 4 && i + more < text.size();
    for (std::size_t k = 1; good && k <= more; ++k) {
      const auto n = static_cast<unsigned char>(text[i + k]);
      good = (n & 0xC0u) == 0x80;
      c = (c << 6) | (n & 0x3Fu);
    }
    good = good && c <= 0x10FFFF;
    out.push_back(good ? c : U'\uFFFD');
    i += good ? more + 1 : 1;
  }
  return out;
}

inline void append_utf8(std::string& out, char32_t c) {
  const auto byte = [&](char32_t v) { out += static_cast<char>(static_cast<unsigned char>(v)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0 | (c >> 6)), byte(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    byte(0xE0 | (c >> 12)), byte(0x80 | ((c >> 6) & 0x3F)), byte(0x80 | (c & 0x3F));
  } else {
    byte(0xF0 | (c >> 18)), byte(0x80 | ((c >> 12) & 0x3F)), byte(0x80 | ((c >> 6) & 0x3F)), byte(0x80 | (c & 0x3F));
  }
}

/// Letters of Latin, Greek, Cyrillic and what lies above punctuation and symbols.
inline bool letter_beyond_ascii(char32_t c) {
  if (c == 0xAA || c == 0xB5 || c == 0xBA) { return true; }
  return (c >= 0xC0 && c != 0xD7 && c != 0xF7 && c < 0x2000) || (c >= 0x2C00 && c < 0x2E00) ||
         (c >= 0x3040 && c < 0xD7A4);
}

/// The small letter of a capital one: ASCII, Latin-1, Latin Extended-A, Greek, Cyrillic.
inline char32_t small_letter(char32_t c) {
  if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) ||
      (c >= 0x410 && c <= 0x42F)) {
    return c + 32;
  }
  if (c >= 0x400 && c <= 0x40F) { return c + 80; }
  if (c == 0x178) { return 0xFF; }
  if (c >= 0x100 && c <= 0x17E && c != 0x130 && c != 0x131 && c != 0x138 && c != 0x149 && c != 0x178 && c != 0x17F) {
    const bool odd = (c >= 0x139 && c <= 0x148) || c >= 0x179; // here the capitals are the odd ones
    return (c % 2 == 1) == odd ? c + 1 : c;
  }
  return c;
}

} // namespace sqs::metric::detail
