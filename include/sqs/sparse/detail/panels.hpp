// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The shapes of register blocks, and weights packed in the order the products read them.

#include <sqs/core/simd.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse::detail {

// 32 vector registers where the widest ones have mask registers beside them and on 64-bit ARM, 16 elsewhere.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr int vector_registers = 32;
#else
inline constexpr int vector_registers = 16;
#endif

/// Vectors of columns in a block, at most.
inline constexpr int most_vectors = vector_registers == 32 ? 4 : 2;
/// Rows of a block M vectors wide: sums fill three quarters of the registers; the rest hold a row of weights and the
/// number they are multiplied with. Never fewer sums than two multipliers need to hide four steps of latency.
template <int M> inline constexpr int block_rows = vector_registers == 32 ? (M == 4 ? 6 : (M == 1 ? 12 : 8))
                                                                          : (M == 2 ? 6 : 8);

/// The columns of a matrix, cut into blocks of at most `most_vectors` vectors, as even as can be.
template <class T> struct column_blocks {
  static constexpr idx lanes = native_lanes<T>;
  idx columns = 0;
  idx vectors() const { return (columns + lanes - 1) / lanes; }
  idx padded() const { return vectors() * lanes; }
  idx count() const { return (vectors() + most_vectors - 1) / most_vectors; }
  /// First vector of block b; that of block `count()` is the end.
  idx first(idx b) const { return b * vectors() / count(); }
};

/// Calls f with the number of vectors as a constant.
template <int M = most_vectors, class F> SQS_INLINE void with_vectors(idx vectors, F&& f) {
  if constexpr (M == 1) {
    f(std::integral_constant<int, 1>{});
  } else if (vectors == M) {
    f(std::integral_constant<int, M>{});
  } else {
    with_vectors<M - 1>(vectors, f);
  }
}

/// Weights [taps, depth, columns] of each group, block after block of columns: what a product reads is contiguous.
///
/// Shapes      panels [groups][taps][block][depth][columns of the block, padded with zeros to whole vectors]
template <class T> struct weight_panels {
  column_blocks<T> blocks;
  idx depth = 0, taps = 0, groups = 1;
  tensor<T, 1> data;
  const T* panel(idx group, idx tap, idx block) const {
    return data.data() + ((group * taps + tap) * blocks.padded() + blocks.first(block) * blocks.lanes) * depth;
  }
};

/// Packs weight [taps, in, groups * out], where group g has the columns from g * out on. `transposed`: the product with
/// the transpose of each tap's matrix; `mirrored`: tap k of the panels is tap taps - 1 - k of the weights.
template <class T>
weight_panels<T> pack_weights(cpu& e, const tensor<T, 3>& weight, idx groups, bool transposed, bool mirrored) {
  const idx taps = weight.extent(0), in = weight.extent(1), row = weight.extent(2), out = row / groups;
  weight_panels<T> w{{transposed ? in : out}, transposed ? out : in, taps, groups, {}};
  const idx padded = w.blocks.padded();
  w.data = empty<T, 1>(e, {groups * taps * w.depth * padded});
  const T* const from = weight.data();
  T* const to = w.data.data();
  const idx depth = w.depth, columns = w.blocks.columns, lanes = w.blocks.lanes, blocks = w.blocks.count();
  parallel_for(e, groups * taps, 1, [&](idx begin, idx end) {
    for (idx task = begin; task < end; ++task) {
      const idx tap = mirrored ? taps - 1 - task % taps : task % taps;
      const T* const matrix = from + tap * in * row + task / taps * out;
      T* p = to + task * padded * depth;
      for (idx b = 0; b < blocks; ++b) {
        const idx first = w.blocks.first(b) * lanes, width = w.blocks.first(b + 1) * lanes - first;
        const idx used = std::min(width, columns - first);
        for (idx k = 0; k < depth; ++k, p += width) {
          if (transposed) {
            for (idx j = 0; j < used; ++j) { p[j] = matrix[(first + j) * row + k]; }
          } else {
            std::copy_n(matrix + k * row + first, used, p);
          }
          std::fill(p + used, p + width, T(0));
        }
      }
    }
  });
  return w;
}

} // namespace sqs::sparse::detail
