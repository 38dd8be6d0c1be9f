// SPDX-License-Identifier: Apache-2.0
#pragma once
// The matrix unit as its manual describes it, in plain code: what it stores, what it refuses, how it rounds.
// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, the pages of LDTILECFG, TILELOADD, TILESTORED and
// TDPBF16PS.

#include <sqs/sparse/detail/tile_unit.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace sqs::test {

/// x with numbers below the least normal one replaced by zero of their sign.
inline float without_denormals(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

/// a b + c rounded once to the nearest, ties to even; denormals are zero on the way in and on the way out. Whether a
/// result is one is decided after rounding to 24 bits of a number with no least exponent, as x86 does.
inline float flushed_fma(float a, float b, float c) {
  a = without_denormals(a), b = without_denormals(b), c = without_denormals(c);
  const float sum = std::fma(a, b, c);
  if (!(std::fabs(sum) <= 0x1p-126f) || sum == 0) { return sum; }
  // Near the least exponent std::fma has fewer bits: look at 2^64 times the sum. One this small cannot come of terms so
  // large that they overflow here.
  if (std::fabs(a) > std::fabs(b)) { std::swap(a, b); }
  const float scaled = std::fma(a * 0x1p64f, b, c * 0x1p64f);
  return std::fabs(scaled) < 0x1p-62f ? std::copysign(0.0f, sum) : sum;
}

/// What the unit would fault on.
struct unit_fault : std::logic_error {
  using std::logic_error::logic_error;
};

class modelled_unit {
public:
  void configure(const sparse::detail::unit_configuration& c) {
    if (c.palette == 0) { // releases
      configured_ = false;
      return;
    }
    bool wrong = c.palette != 1 || c.start_row != 0;
    for (const auto r : c.reserved) { wrong |= r != 0; }
    for (int i = 0; i < 16; ++i) {
      wrong |= i >= sparse::detail::unit_registers && (c.rows[i] != 0 || c.row_bytes[i] != 0);
      wrong |= c.rows[i] > 16 || c.row_bytes[i] > 64 || (c.rows[i] == 0) != (c.row_bytes[i] == 0);
    }
    refuse(wrong, "a configuration with reserved bytes set, or of registers larger than there are");
    shape_ = c;
    configured_ = true;
    for (auto& r : data_) { r = {}; }
  }
  void load_register(int r, const void* from, idx stride) {
    used(r);
    data_[at(r)] = {}; // what the shape leaves out becomes zero
    for (int i = 0; i < shape_.rows[r]; ++i) {
      std::memcpy(&data_[at(r)][64 * static_cast<std::size_t>(i)], static_cast<const char*>(from) + i * stride,
                  shape_.row_bytes[r]);
    }
  }
  void store_register(int r, void* to, idx stride) const {
    used(r);
    for (int i = 0; i < shape_.rows[r]; ++i) {
      std::memcpy(static_cast<char*>(to) + i * stride, &data_[at(r)][64 * static_cast<std::size_t>(i)],
                  shape_.row_bytes[r]);
    }
  }
  void clear_register(int r) {
    used(r);
    data_[at(r)] = {};
  }
  void multiply_add_registers(int c, int a, int b) {
    used(a), used(b), used(c);
    refuse(a == b || a == c || b == c, "one register in two places");
    refuse(shape_.rows[c] != shape_.rows[a] || shape_.row_bytes[c] != shape_.row_bytes[b] ||
               shape_.row_bytes[a] != 4 * shape_.rows[b] || shape_.row_bytes[b] % 4 != 0,
           "shapes that do not multiply");
    const int pairs = shape_.row_bytes[a] / 4, columns = shape_.row_bytes[c] / 4;
    std::array<std::byte, 1024> result{};
    for (int m = 0; m < shape_.rows[c]; ++m) {
      float sum[16][2] = {};
      for (int k = 0; k < pairs; ++k) {
        for (int n = 0; n < columns; ++n) {
          for (int s = 0; s < 2; ++s) {
            sum[n][s] = flushed_fma(narrow(a, m, 2 * k + s), narrow(b, k, 2 * n + s), sum[n][s]);
          }
        }
      }
      for (int n = 0; n < columns; ++n) {
        float old;
        std::memcpy(&old, &data_[at(c)][place(m, 4 * n)], 4);
        const float products = flushed_fma(sum[n][0], 1, sum[n][1]), both = flushed_fma(products, 1, old);
        std::memcpy(&result[place(m, 4 * n)], &both, 4);
      }
    }
    data_[at(c)] = result;
  }

  template <int R> void load(const void* from, idx stride) { load_register(R, from, stride); }
  template <int R> void store(void* to, idx stride) { store_register(R, to, stride); }
  template <int C, int A, int B> void multiply_add() { multiply_add_registers(C, A, B); }

private:
  static std::size_t at(int r) { return static_cast<std::size_t>(r); }
  static std::size_t place(int row, int byte) { return static_cast<std::size_t>(64 * row + byte); }
  static void refuse(bool wrong, const char* what) {
    if (wrong) { throw unit_fault(what); }
  }
  void used(int r) const {
    refuse(!configured_ || r < 0 || r >= sparse::detail::unit_registers || shape_.rows[r] == 0,
           "a register that is not configured");
  }
  float narrow(int r, int row, int i) const {
    bfloat16 x;
    std::memcpy(&x, &data_[at(r)][place(row, 2 * i)], 2);
    return x;
  }
  sparse::detail::unit_configuration shape_;
  std::array<std::array<std::byte, 1024>, sparse::detail::unit_registers> data_{};
  bool configured_ = false;
};
static_assert(sparse::detail::matrix_unit<modelled_unit>);

} // namespace sqs::test
