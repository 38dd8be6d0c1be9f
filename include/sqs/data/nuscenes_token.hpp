// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tokens of the nuScenes format as 128-bit values, and tables of them.

#include <sqs/core/error.hpp>
#include <sqs/core/random.hpp>

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sqs {

/// The 32 hexadecimal digits of a token as a number. The empty token is zero. Other texts ("1" of visibility.json, the
/// tokens of converted data sets) are hashed; `nuscenes_token_texts` remembers them.
struct nuscenes_token {
  std::uint64_t high = 0, low = 0;
  auto operator<=>(const nuscenes_token&) const = default;
  explicit operator bool() const { return (high | low) != 0; }
};

namespace detail {

/// The value of each lower-case hexadecimal digit, 255 for other characters.
inline constexpr auto hex_digits = [] {
  std::array<std::uint8_t, 256> t{};
  for (auto& v : t) { v = 255; }
  for (std::uint8_t d = 0; d < 16; ++d) { t[static_cast<std::size_t>("0123456789abcdef"[d])] = d; }
  return t;
}();

/// Whether `text` is 32 lower-case hexadecimal digits, not all zero; then `out` is their value.
inline bool parse_hex_token(std::string_view text, nuscenes_token& out) {
  if (text.size() != 32) { return false; }
  std::uint64_t half[2] = {0, 0};
  std::uint8_t bad = 0;
  for (std::size_t h = 0; h < 2; ++h) {
    for (std::size_t i = 0; i < 16; ++i) {
      const std::uint8_t d = hex_digits[static_cast<unsigned char>(text[16 * h + i])];
      bad |= d;
      half[h] = half[h] << 4 | d;
    }
  }
  if (bad > 15) { return false; }
  out = {half[0], half[1]};
  return static_cast<bool>(out);
}

} // namespace detail

/// The token of a text: the same text gives the same token in every run.
inline nuscenes_token nuscenes_token_of(std::string_view text) {
  nuscenes_token t;
  if (text.empty() || detail::parse_hex_token(text, t)) { return t; }
  t = {0x6A09E667F3BCC908ull ^ text.size(), 0xBB67AE8584CAA73Bull};
  for (std::size_t i = 0; i < text.size(); i += 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, text.data() + i, std::min<std::size_t>(8, text.size() - i));
    t = {mix_bits(t.high ^ w) + t.low, mix_bits(t.low + mix_bits(w))};
  }
  return t;
}

/// The texts of tokens that are not 32 hexadecimal digits.
class nuscenes_token_texts {
public:
  /// The token of a text, which is kept if it cannot be had back from the token.
  nuscenes_token add(std::string_view text) {
    nuscenes_token t;
    if (text.empty() || detail::parse_hex_token(text, t)) { return t; }
    t = nuscenes_token_of(text);
    keep(t, text);
    return t;
  }
  void add(const nuscenes_token_texts& other) {
    for (const auto& [t, text] : other.odd_) { keep(t, text); }
  }
  std::string text(nuscenes_token t) const {
    if (!t) { return ""; }
    if (const auto found = odd_.find(t); found != odd_.end()) { return found->second; }
    std::string s(32, '0');
    for (std::size_t i = 0; i < 32; ++i) {
      s[i] = "0123456789abcdef"[(i < 16 ? t.high >> (60 - 4 * i) : t.low >> (124 - 4 * i)) & 15];
    }
    return s;
  }

private:
  void keep(nuscenes_token t, std::string_view text) {
    const auto [at, is_new] = odd_.try_emplace(t, text);
    if (!is_new && at->second != text) {
      raise<file_error>("sqs::nuscenes_token: '", text.substr(0, 80), "' and '", at->second.substr(0, 80),
                        "' cannot be told apart; use tokens of 32 hexadecimal digits");
    }
  }
  std::map<nuscenes_token, std::string> odd_;
};

/// Token -> row of a table. Filled first, then sealed, then asked.
///
/// Cost        24 bytes per token; a look-up touches one bucket when tokens are random, else is a binary search.
class nuscenes_token_index {
public:
  void add(nuscenes_token t, std::size_t row) { entries_.push_back({t, static_cast<std::int32_t>(row)}); }
  void reserve(std::size_t n) { entries_.reserve(n); }
  std::size_t size() const { return entries_.size(); }

  /// Sorts. Returns the row whose token an earlier row has, or -1.
  std::int32_t seal() {
    std::sort(entries_.begin(), entries_.end());
    bits_ = 0;
    while (bits_ < 20 && (std::size_t{2} << bits_) < entries_.size()) { ++bits_; }
    starts_.assign((std::size_t{1} << bits_) + 1, 0);
    for (const auto& e : entries_) { ++starts_[bucket(e.token) + 1]; }
    for (std::size_t b = 1; b < starts_.size(); ++b) { starts_[b] += starts_[b - 1]; }
    std::int32_t twice = -1;
    for (std::size_t i = 1; i < entries_.size(); ++i) {
      if (entries_[i].token == entries_[i - 1].token && (twice < 0 || entries_[i].row < twice)) {
        twice = entries_[i].row;
      }
    }
    return twice;
  }
  /// The row of a token, or -1.
  std::int32_t find(nuscenes_token t) const {
    if (entries_.empty()) { return -1; }
    const auto b = bucket(t);
    const auto first = entries_.begin() + starts_[b], last = entries_.begin() + starts_[b + 1];
    const auto at = std::lower_bound(first, last, entry{t, -1});
    return at != last && at->token == t ? at->row : -1;
  }

  /// Calls `each(token, row)` with every pair, by token and then by row.
  template <class F> void each(F&& f) const {
    for (const auto& e : entries_) { f(e.token, e.row); }
  }

private:
  struct entry {
    nuscenes_token token;
    std::int32_t row;
    auto operator<=>(const entry&) const = default;
  };
  std::size_t bucket(nuscenes_token t) const {
    return bits_ == 0 ? 0 : static_cast<std::size_t>(t.high >> (64 - bits_));
  }

  std::vector<entry> entries_;
  std::vector<std::int32_t> starts_;
  int bits_ = 0;
};

} // namespace sqs
