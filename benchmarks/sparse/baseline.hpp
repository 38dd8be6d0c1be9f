// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the sparse convolutions are measured against: the data flow of the CPU paths of common engines. A serial hash
/// map finds the pairs; then, tap after tap, rows are gathered, multiplied, and added to their outputs.
///
/// Given every advantage: products are the project's own, with as many threads as the engine has; buffers are made
/// beforehand; the centre tap is one product without gathering; and one half of the taps is looked up for both.

#include <sqs/exec/gemm.hpp>
#include <sqs/tensor/tensor.hpp>

#include "../../tests/sparse/pairs_oracle.hpp"

#include <unordered_map>

namespace baseline {

using namespace sqs;

/// Pairs of a submanifold convolution, tap by tap.
struct tap_lists {
  std::vector<std::vector<std::int32_t>> input, output;
  std::size_t taps() const { return input.size(); }
  std::size_t longest() const {
    std::size_t n = 0;
    for (const auto& l : input) { n = std::max(n, l.size()); }
    return n;
  }
};

/// The serial hash-map builder.
inline tap_lists make_map(const std::vector<test::site>& sites, const std::array<idx, 3>& grid) {
  const auto key = [&](idx x, idx y, idx z) { return (x * grid[1] + y) * grid[2] + z; };
  std::unordered_map<idx, std::int32_t> rows;
  rows.reserve(sites.size());
  for (std::size_t i = 0; i < sites.size(); ++i) {
    rows.emplace(key(sites[i][1], sites[i][2], sites[i][3]), static_cast<std::int32_t>(i));
  }
  tap_lists l{std::vector<std::vector<std::int32_t>>(27), std::vector<std::vector<std::int32_t>>(27)};
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto row = static_cast<std::int32_t>(i);
    for (int tap = 0; tap <= 13; ++tap) {
      const idx x = sites[i][1] + tap / 9 - 1, y = sites[i][2] + tap / 3 % 3 - 1, z = sites[i][3] + tap % 3 - 1;
      if (x < 0 || y < 0 || z < 0 || x >= grid[0] || y >= grid[1] || z >= grid[2]) { continue; }
      const auto found = rows.find(key(x, y, z));
      if (found == rows.end()) { continue; }
      const auto t = static_cast<std::size_t>(tap);
      l.input[t].push_back(found->second);
      l.output[t].push_back(row);
      if (tap < 13) {
        l.input[26 - t].push_back(row);
        l.output[26 - t].push_back(found->second);
      }
    }
  }
  return l;
}

class gather_gemm_scatter {
public:
  /// Of `in` to `out` channels; the backward passes only for as many.
  gather_gemm_scatter(cpu& e, const tap_lists& lists, idx rows, idx in, idx out)
      : e_(e),
        lists_(lists),
        rows_(rows),
        in_(in),
        c_(out),
        gathered_(lists.longest() * static_cast<std::size_t>(std::max(in, out))),
        multiplied_(lists.longest() * static_cast<std::size_t>(out)) {}

  void forward(const float* x, const float* w, float* y) {
    const idx centre = static_cast<idx>(lists_.taps()) / 2;
    gemm<float>(e_, false, false, rows_, c_, in_, x, in_, w + centre * in_ * c_, c_, y, c_);
    each_tap([&](idx tap, const auto& in, const auto& out) {
      gather(x, in, gathered_, in_);
      gemm<float>(e_, false, false, size_of(in), c_, in_, gathered_.data(), in_, w + tap * in_ * c_, c_,
                  multiplied_.data(), c_);
      scatter(out, y);
    });
  }
  void backward_data(const float* dy, const float* w, float* dx) {
    const idx centre = static_cast<idx>(lists_.taps()) / 2;
    gemm<float>(e_, false, true, rows_, c_, c_, dy, c_, w + centre * c_ * c_, c_, dx, c_);
    each_tap([&](idx tap, const auto& in, const auto& out) {
      gather(dy, out, gathered_, c_);
      gemm<float>(e_, false, true, size_of(in), c_, c_, gathered_.data(), c_, w + tap * c_ * c_, c_, multiplied_.data(),
                  c_);
      scatter(in, dx);
    });
  }
  void backward_weight(const float* x, const float* dy, float* dw) {
    const idx centre = static_cast<idx>(lists_.taps()) / 2;
    gemm<float>(e_, true, false, c_, c_, rows_, x, c_, dy, c_, dw + centre * c_ * c_, c_);
    each_tap([&](idx tap, const auto& in, const auto& out) {
      gather(x, in, gathered_, c_);
      gather(dy, out, multiplied_, c_);
      gemm<float>(e_, true, false, c_, c_, size_of(in), gathered_.data(), c_, multiplied_.data(), c_,
                  dw + tap * c_ * c_, c_);
    });
  }

private:
  static idx size_of(const std::vector<std::int32_t>& l) { return static_cast<idx>(l.size()); }
  template <class F> void each_tap(F&& f) {
    for (std::size_t t = 0; t < lists_.taps(); ++t) {
      if (t != lists_.taps() / 2 && !lists_.input[t].empty()) {
        f(static_cast<idx>(t), lists_.input[t], lists_.output[t]);
      }
    }
  }
  static void gather(const float* from, const std::vector<std::int32_t>& rows, std::vector<float>& to, idx c) {
    float* p = to.data();
    for (const auto r : rows) { p = std::copy_n(from + r * c, c, p); }
  }
  void scatter(const std::vector<std::int32_t>& rows, float* to) const {
    const float* p = multiplied_.data();
    for (const auto r : rows) {
      float* const row = to + r * c_;
      for (idx j = 0; j < c_; ++j) { row[j] += p[j]; }
      p += c_;
    }
  }
  cpu& e_;
  const tap_lists& lists_;
  idx rows_, in_, c_;
  std::vector<float> gathered_, multiplied_;
};

} // namespace baseline
