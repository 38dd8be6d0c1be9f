// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Factors of products on tensor cores as copies of 16 bytes take them: rows and weights as words, padded with zeros.

#include <sqs/sparse/cuda/mma.hpp>
#include <sqs/sparse/cuda/packed.hpp>

namespace sqs::sparse::detail {

/// Words that are copied at a time, and words of a row that come to shared memory at a time.
inline constexpr int mma_piece = 4, mma_chunk = 16;

struct alignas(16) piece_of_words {
  std::uint32_t word[mma_piece];
};
SQS_HD inline idx tiles_of(idx n, idx tile) { return (n + tile - 1) / tile; }

/// Words of `channels` numbers in whole pieces.
template <class Words> idx words_of(idx channels) {
  return tiles_of(channels, mma_piece * Words::per_word) * mma_piece;
}
/// Can rows be multiplied as they lie in memory?
template <class Words, class X> bool are_words(const X* x, idx channels) {
  constexpr std::size_t piece = sizeof(piece_of_words);
  return std::is_same_v<X, typename Words::stored> && static_cast<std::size_t>(channels) * sizeof(X) % piece == 0 &&
         reinterpret_cast<std::uintptr_t>(x) % piece == 0;
}

/// to[row, group, word] = numbers of x, rounded; zero beyond the channels. One thread per piece.
///
/// Shapes      x [rows, groups, channels] -> to [rows, groups, words]
template <class X, class Words> struct pack_rows_kernel {
  static constexpr const char* name = "sqs::sparse::rows_for_tensor_cores";
  const X* x;
  idx rows, groups, channels;
  piece_of_words* to;

  idx pieces() const { return words_of<Words>(channels) / mma_piece; }
  idx threads() const { return rows * groups * pieces(); }

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), each = tiles_of(channels, mma_piece * Words::per_word);
    if (i >= rows * groups * each) { return; }
    const idx first = i / each * channels, c = i % each * mma_piece * Words::per_word;
    const auto value = [&](idx n) { return n < channels ? static_cast<float>(x[first + n]) : 0.0f; };
    piece_of_words p;
    SQS_UNROLL
    for (int w = 0; w < mma_piece; ++w) {
      const idx n = c + w * Words::per_word;
      p.word[w] = Words::of(value(n), Words::per_word > 1 ? value(n + 1) : 0.0f);
    }
    to[i] = p;
  }
};

/// The weights of all taps as panels that follow each other in memory: to[tap, group, chunk, column, word], word w of
/// chunk c being numbers of the channels (c mma_chunk + w) per_word and on; zero beyond the channels and the columns.
/// One thread per piece.
///
/// Shapes      weight [taps, depth, groups, columns] or, transposed, [taps, columns, groups, depth]; room: columns with
///             those of whole tiles
template <class Words> struct pack_weights_kernel {
  static constexpr const char* name = "sqs::sparse::weights_for_tensor_cores";
  const float* weight;
  idx taps, groups, depth, columns, room;
  bool transposed;
  piece_of_words* to;

  static constexpr int pieces = mma_chunk / mma_piece;
  idx chunks() const { return tiles_of(depth, mma_chunk * Words::per_word); }
  idx threads() const { return taps * groups * chunks() * pieces * room; }

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t), all = tiles_of(depth, mma_chunk * Words::per_word);
    if (i >= taps * groups * all * pieces * room) { return; }
    idx rest = i;
    const idx j = rest % room, piece = (rest /= room) % pieces, chunk = (rest /= pieces) % all,
              group = (rest /= all) % groups, tap = rest / groups;
    const auto value = [&](idx c) {
      if (c >= depth || j >= columns) { return 0.0f; }
      return transposed ? weight[((tap * columns + j) * groups + group) * depth + c]
                        : weight[((tap * depth + c) * groups + group) * columns + j];
    };
    piece_of_words p;
    SQS_UNROLL
    for (int w = 0; w < mma_piece; ++w) {
      const idx c = (chunk * mma_chunk + piece * mma_piece + w) * Words::per_word;
      p.word[w] = Words::of(value(c), Words::per_word > 1 ? value(c + 1) : 0.0f);
    }
    const idx panel = (tap * groups + group) * all + chunk;
    to[(panel * room + j) * pieces + piece] = p;
  }
};

} // namespace sqs::sparse::detail
