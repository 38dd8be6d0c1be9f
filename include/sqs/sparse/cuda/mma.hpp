// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tensor cores as one function of a warp: c [16, 8] += a [16, k] b [k, 8] with short numbers in and float sums. Where
/// there are none (the emulator), the warp computes the same sums through shared memory.

#include <sqs/core/bfloat16.hpp>
#include <sqs/exec/team.hpp>

#include <bit>

namespace sqs::sparse::detail {

/// Numbers as tensor cores take them: words of 32 bits, of which a step of the product takes 8 per row.
struct bfloat16_words {
  static constexpr int per_word = 2; ///< numbers
  SQS_HD static std::uint32_t of(float low, float high) {
    return bfloat16(low).bits | static_cast<std::uint32_t>(bfloat16(high).bits) << 16;
  }
  SQS_HD static float value(std::uint32_t word, int i) {
    return std::bit_cast<float>(i == 0 ? word << 16 : word & 0xffff0000u);
  }
};
/// The same of half precision: finer, but beyond 65504 there is only infinity, and below 2^-14 it gets coarse.
struct float16_words {
  static constexpr int per_word = 2;
  SQS_HD static std::uint32_t of(float low, float high) {
    return float16(low).bits | static_cast<std::uint32_t>(float16(high).bits) << 16;
  }
  SQS_HD static float value(std::uint32_t word, int i) {
    return std::bit_cast<float16>(static_cast<std::uint16_t>(i == 0 ? word : word >> 16));
  }
};
/// Floats of which 10 bits of the fraction are kept, rounded to nearest, ties away from zero.
struct tf32_words {
  static constexpr int per_word = 1;
  SQS_HD static std::uint32_t of(float v, float = 0) {
    const auto bits = std::bit_cast<std::uint32_t>(v);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    return finite ? (bits + 0x1000u) & 0xffffe000u : bits;
  }
  SQS_HD static float value(std::uint32_t word, int) { return std::bit_cast<float>(word); }
};

/// The lane's part of the matrices. With g = lane / 4 and i = lane % 4, word w of row r of `a` being a[r, w] and word w
/// of column n of `b` being b[w, n]:
///
///   a   rows g, g + 8, g, g + 8 at words i, i, i + 4, i + 4
///   b   words i, i + 4 of column g
///   c   row g, columns 2 i and 2 i + 1; row g + 8, the same columns
struct mma_sums {
  float c[4];
};

/// Sums of one step by the warp itself, for teams without tensor cores. Fixed order of the sums.
template <class Words, int MostWarps, team Team>
SQS_DEVICE void mma_by_hand(Team& t, mma_sums& s, const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  std::uint32_t* const all = shared_array<struct mma_fragments, std::uint32_t, MostWarps * warp_size * 6>(t) +
                             t.thread() / warp_size * warp_size * 6;
  const int lane = t.thread() % warp_size, group = lane / 4, place = lane % 4;
  for (int i = 0; i < 4; ++i) { all[lane * 6 + i] = a[i]; }
  for (int i = 0; i < 2; ++i) { all[lane * 6 + 4 + i] = b[i]; }
  t.sync_warp();
  for (int i = 0; i < 4; ++i) {
    const int column = 2 * place + i % 2;
    float sum = s.c[i];
    for (int w = 0; w < 8; ++w) {
      const std::uint32_t left = all[(group * 4 + w % 4) * 6 + i / 2 + 2 * (w / 4)];
      const std::uint32_t right = all[(column * 4 + w % 4) * 6 + 4 + w / 4];
      for (int n = 0; n < Words::per_word; ++n) { sum += Words::value(left, n) * Words::value(right, n); }
    }
    s.c[i] = sum;
  }
  t.sync_warp();
}

/// c += a b over 8 words. All lanes of the warp must call it; the block has at most `MostWarps` warps.
///
/// Source      PTX ISA: mma.sync.m16n8k16 (bf16, f16) and m16n8k8 (tf32), matrix fragments.
template <class Words, int MostWarps, team Team>
SQS_DEVICE void mma_step(Team& t, mma_sums& s, const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  (void)t;
  if constexpr (std::is_same_v<Words, float16_words>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(s.c[0]), "+f"(s.c[1]), "+f"(s.c[2]), "+f"(s.c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else if constexpr (std::is_same_v<Words, bfloat16_words>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(s.c[0]), "+f"(s.c[1]), "+f"(s.c[2]), "+f"(s.c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    static_assert(std::is_same_v<Words, tf32_words>);
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(s.c[0]), "+f"(s.c[1]), "+f"(s.c[2]), "+f"(s.c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  mma_by_hand<Words, MostWarps>(t, s, a, b);
#endif
}

/// A product of 64 x 64 sums by 128 threads: each of its 4 warps has 32 x 32 of them. Both factors come as words along
/// the axis summed over, 16 at a time.
struct mma_tile {
  static constexpr int rows = 64, columns = 64, words = 16, threads = 128;
  static constexpr int pitch = words + 4; ///< lanes that read a fragment find it in 32 different banks
};

template <class Words> struct mma_panels {
  std::uint32_t *left, *right;   ///< [rows][pitch], [columns][pitch]
  int row, column, group, place; ///< of the warp's sums; of the lane in fragments
  mma_sums sum[2][4];

  template <team Team> SQS_DEVICE static mma_panels of(Team& t) {
    return of(t, shared_array<struct mma_left, std::uint32_t, mma_tile::rows * mma_tile::pitch>(t));
  }
  /// With a left factor of another form: see `add_product`.
  template <team Team> SQS_DEVICE static mma_panels of(Team& t, std::uint32_t* left) {
    const int warp = t.thread() / warp_size, lane = t.thread() % warp_size;
    return {left,
            shared_array<struct mma_right, std::uint32_t, mma_tile::columns * mma_tile::pitch>(t),
            warp / 2 * 32,
            warp % 2 * 32,
            lane / 4,
            lane % 4,
            {}};
  }
  /// sum += left right, for the quarters of 16 rows whose bit is set. Between barriers.
  template <team Team> SQS_DEVICE void add_product(Team& t, unsigned quarters) {
    add_product(t, quarters, [&](int r) { return left + r * mma_tile::pitch; });
  }
  /// The same with the words of row r of the left factor at `row_at(r)`.
  template <team Team, class RowAt> SQS_DEVICE void add_product(Team& t, unsigned quarters, RowAt&& row_at) {
    if ((quarters >> row / 16 & 3u) == 0) { return; }
    for (int step = 0; step < mma_tile::words; step += 8) {
      std::uint32_t b[4][2];
      SQS_UNROLL
      for (int n = 0; n < 4; ++n) {
        const std::uint32_t* const from = right + (column + 8 * n + group) * mma_tile::pitch + step + place;
        b[n][0] = from[0], b[n][1] = from[4];
      }
      SQS_UNROLL
      for (int m = 0; m < 2; ++m) {
        if ((quarters >> (row / 16 + m) & 1u) == 0) { continue; } // the same for all lanes of the warp
        const std::uint32_t* const from = row_at(row + 16 * m + group) + step + place;
        const std::uint32_t* const below = row_at(row + 16 * m + group + 8) + step + place;
        const std::uint32_t a[4] = {from[0], below[0], from[4], below[4]};
        SQS_UNROLL
        for (int n = 0; n < 4; ++n) { mma_step<Words, mma_tile::threads / warp_size>(t, sum[m][n], a, b[n]); }
      }
    }
  }
  /// Calls f(row of the tile, column of the tile, sum) for this lane's sums.
  template <class F> SQS_DEVICE void each_sum(F&& f) {
    SQS_UNROLL
    for (int m = 0; m < 2; ++m) {
      SQS_UNROLL
      for (int n = 0; n < 4; ++n) {
        SQS_UNROLL
        for (int i = 0; i < 4; ++i) {
          f(row + 16 * m + group + i / 2 * 8, column + 8 * n + 2 * place + i % 2, sum[m][n].c[i]);
        }
      }
    }
  }
};

} // namespace sqs::sparse::detail
