// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The host's side of products on tensor cores: factors made ready, the size of a block's tile.

#include <sqs/exec/concept.hpp>
#include <sqs/sparse/cuda/mma_kernels.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse::detail {

/// The tile of a product. The higher and wider it is, the less often weights and rows come from memory; but a small
/// product must not leave processors idle. 264 blocks are two for each of an H200's 132; not measured yet.
inline mma_shape product_shape(idx outputs, idx groups, idx columns) {
  const auto blocks = [&](const mma_shape& s) {
    return tiles_of(outputs, s.rows) * groups * tiles_of(columns, s.columns);
  };
  constexpr idx enough = 264;
  const bool wide = tiles_of(columns, small_product.columns) % 2 == 0; // no half of a tile is without columns
  if (wide && blocks(wide_product) >= enough) { return wide_product; }
  return blocks(tall_product) >= enough ? tall_product : small_product;
}
/// Calls f.operator()<shape>().
template <class F> void with_shape(const mma_shape& s, F&& f) {
  if (s.rows == small_product.rows) {
    f.template operator()<small_product>();
  } else if (s.columns == tall_product.columns) {
    f.template operator()<tall_product>();
  } else {
    f.template operator()<wide_product>();
  }
}

inline constexpr idx most_pieces = idx{1} << 32; ///< kernels count in 32 bits

/// Rows as words: those of `x` itself, if they can be, or a copy.
template <class Words> struct rows_of_words {
  tensor<piece_of_words, 1, device> copy;
  const piece_of_words* data;
  int words; ///< of a row and group

  int pieces(idx groups) const { return static_cast<int>(groups) * (words / mma_piece); } ///< of a row

  template <device_executor E, class X> static rows_of_words of(E& e, const tensor<X, 2, device>& x, idx groups) {
    const idx channels = x.extent(1) / groups, words = words_of<Words>(channels);
    const idx all = x.extent(0) * groups * (words / mma_piece);
    expects(all < most_pieces, "sqs::sparse::device_convolution: ", x.extent(0), " rows of ", x.extent(1),
            " channels are more than 64 GiB for tensor cores; take the batch in parts");
    if (are_words<Words>(x.data(), channels)) {
      return {{}, reinterpret_cast<const piece_of_words*>(x.data()), static_cast<int>(words)};
    }
    auto copy = empty<piece_of_words, 1>(e, {all});
    const pack_rows_kernel<X, Words> k{x.data(), x.extent(0), groups, channels, copy.data()};
    launch(e, grid_blocks(k.threads()), grid_threads, k);
    const piece_of_words* const data = copy.data();
    return {std::move(copy), data, static_cast<int>(words)};
  }
};
/// The weights of all taps as panels for tiles of `tile` columns.
template <class Words> struct weights_of_words {
  tensor<piece_of_words, 1, device> panels;
  idx room;

  template <device_executor E> static weights_of_words of(E& e, const tensor<float, 3, device>& weight, idx groups,
                                                          idx depth, idx columns, bool transposed, idx tile) {
    const idx room = tiles_of(columns, tile) * tile;
    pack_weights_kernel<Words> k{weight.data(), weight.extent(0), groups, depth, columns, room, transposed, nullptr};
    expects(k.threads() < most_pieces, "sqs::sparse::device_convolution: the weights of ", weight.extent(0), " taps, ",
            depth, " to ", columns, " channels in ", groups,
            " groups are more than 64 GiB for tensor cores; take a smaller kernel or more groups");
    auto panels = empty<piece_of_words, 1>(e, {k.threads()});
    k.to = panels.data();
    launch(e, grid_blocks(k.threads()), grid_threads, k);
    return {std::move(panels), room};
  }
};

} // namespace sqs::sparse::detail
