// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tensor cores as one function of a warp: c [16, 8] += a [16, k] b [k, 8] with short numbers in and float sums. Where
/// there are none (the emulator), the warp computes the same sums through shared memory.

#include <sqs/core/bfloat16.hpp>
#include <sqs/exec/team.hpp>

#include <bit>

namespace sqs::sparse::detail {

/// Numbers as tensor cores take them: words of 32 bits, of which a step of the product takes 8 per row. `stored`: what
/// memory holds as such words; `rounded`: such a word as it is multiplied.
struct bfloat16_words {
  using stored = bfloat16;
  static constexpr int per_word = 2; ///< numbers
  SQS_HD static std::uint32_t of(float low, float high) {
    return bfloat16(low).bits | static_cast<std::uint32_t>(bfloat16(high).bits) << 16;
  }
  SQS_HD static float value(std::uint32_t word, int i) {
    return std::bit_cast<float>(i == 0 ? word << 16 : word & 0xffff0000u);
  }
  SQS_HD static std::uint32_t rounded(std::uint32_t word) { return word; }
};
/// The same of half precision: finer, but beyond 65504 there is only infinity, and below 2^-14 it gets coarse.
struct float16_words {
  using stored = float16;
  static constexpr int per_word = 2;
  SQS_HD static std::uint32_t of(float low, float high) {
    return float16(low).bits | static_cast<std::uint32_t>(float16(high).bits) << 16;
  }
  SQS_HD static float value(std::uint32_t word, int i) {
    return std::bit_cast<float16>(static_cast<std::uint16_t>(i == 0 ? word : word >> 16));
  }
  SQS_HD static std::uint32_t rounded(std::uint32_t word) { return word; }
};
/// Floats of which 10 bits of the fraction are kept, rounded to nearest, ties away from zero.
struct tf32_words {
  using stored = float;
  static constexpr int per_word = 1;
  SQS_HD static std::uint32_t of(float v, float = 0) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    std::uint32_t word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(v)); // a function of v alone: need not be volatile
    return word;
#else
    const auto bits = std::bit_cast<std::uint32_t>(v);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    return finite ? (bits + 0x1000u) & 0xffffe000u : bits;
#endif
  }
  SQS_HD static float value(std::uint32_t word, int) { return std::bit_cast<float>(word); }
  SQS_HD static std::uint32_t rounded(std::uint32_t word) { return of(std::bit_cast<float>(word)); }
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
/// Volatile: what uses the sums may do so in some lanes only, and an instruction of a whole warp must not follow it
/// there.
///
/// Source      PTX ISA: mma.sync.m16n8k16 (bf16, f16) and m16n8k8 (tf32), matrix fragments.
template <class Words, int MostWarps, team Team>
SQS_DEVICE void mma_step(Team& t, mma_sums& s, const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  (void)t;
  if constexpr (std::is_same_v<Words, float16_words>) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(s.c[0]), "+f"(s.c[1]), "+f"(s.c[2]), "+f"(s.c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else if constexpr (std::is_same_v<Words, bfloat16_words>) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(s.c[0]), "+f"(s.c[1]), "+f"(s.c[2]), "+f"(s.c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    static_assert(std::is_same_v<Words, tf32_words>);
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(s.c[0]), "+f"(s.c[1]), "+f"(s.c[2]), "+f"(s.c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
#else
  mma_by_hand<Words, MostWarps>(t, s, a, b);
#endif
}

/// Calls f(place of the lane's row of matrices, all 32 of them) in a warp whose lanes say where their rows are.
template <int MostWarps, team Team, class F>
SQS_DEVICE void with_rows_of_lanes(Team& t, const std::uint32_t* row, F&& f) {
  using address = const std::uint32_t*;
  address* const all =
      shared_array<struct matrix_rows, address, MostWarps * warp_size>(t) + t.thread() / warp_size * warp_size;
  all[t.thread() % warp_size] = row;
  t.sync_warp();
  f(static_cast<const address*>(all), t.thread() % warp_size);
  t.sync_warp();
}

/// Four matrices of 8 rows of 4 words from shared memory: lane l says where row l % 8 of matrix l / 8 is (a multiple of
/// 16 bytes) and gets word l % 4 of row l / 4 of each. Rows of a matrix in the same 16 of 128 bytes wait for each
/// other. All lanes of the warp must call it.
///
/// Source      PTX ISA: ldmatrix.m8n8.x4.b16, whose matrices of 8 x 8 halves these are.
template <int MostWarps, team Team>
SQS_DEVICE void load_matrices(Team& t, std::uint32_t (&r)[4], const std::uint32_t* row) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  (void)t;
  // "memory": stays between the barriers around it.
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  with_rows_of_lanes<MostWarps>(t, row, [&](const std::uint32_t* const* rows, int lane) {
    for (int i = 0; i < 4; ++i) { r[i] = rows[8 * i + lane / 4][lane % 4]; }
  });
#endif
}

/// The same of matrices of 8 x 8 halves, transposed: lane l gets halves l / 4 of rows 2 (l % 4) and 2 (l % 4) + 1.
///
/// Source      PTX ISA: ldmatrix.m8n8.x4.trans.b16
template <int MostWarps, team Team>
SQS_DEVICE void load_transposed(Team& t, std::uint32_t (&r)[4], const std::uint32_t* row) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  (void)t;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  with_rows_of_lanes<MostWarps>(t, row, [&](const std::uint32_t* const* rows, int lane) {
    const auto half = [&](int matrix, int n) {
      return rows[8 * matrix + n][lane / 8] >> (lane / 4 % 2 * 16) & 0xffffu;
    };
    for (int i = 0; i < 4; ++i) { r[i] = half(i, lane % 4 * 2) | half(i, lane % 4 * 2 + 1) << 16; }
  });
#endif
}

} // namespace sqs::sparse::detail
