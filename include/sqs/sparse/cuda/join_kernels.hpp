// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The kernels that join sets of sites and combine the rows that meet.

#include <sqs/sparse/combine.hpp>
#include <sqs/sparse/cuda/site_kernels.hpp>

namespace sqs::sparse::detail {

/// Sites as kernels search them.
struct packed_sites {
  const key_type* key;
  const std::int32_t* order; ///< null: 0, 1, 2, ...
  const site_status* status;
  key_type outside;

  /// The lowest row at a key, -1 if there is none.
  SQS_DEVICE std::int32_t find(key_type sought) const {
    const idx rows = status->rows, place = first_not_below(key, 0, rows, sought);
    if (place >= rows || key[place] != sought) { return -1; }
    return order == nullptr ? static_cast<std::int32_t>(place) : order[place];
  }
};

/// The keys of one input among those of all; one above all others in place of what is nowhere.
struct gather_keys_kernel {
  static constexpr const char* name = "sqs::sparse::unite";
  packed_sites from;
  idx capacity;
  key_type* to;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    to[i] = i < from.status->rows && from.key[i] < from.outside ? from.key[i] : from.outside;
  }
};

/// flag[i] = 1 where key i of the first input is the first of its voxel and all other inputs have it.
template <std::size_t N> struct common_flags_kernel {
  static constexpr const char* name = "sqs::sparse::intersect";
  packed_sites of[N];
  idx capacity;
  std::int32_t* flag;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    const key_type k = of[0].key[i];
    bool common = i < of[0].status->rows && k < of[0].outside && (i == 0 || of[0].key[i - 1] != k);
    for (std::size_t n = 1; n < N && common; ++n) { common = of[n].find(k) >= 0; }
    flag[i] = common ? 1 : 0;
  }
};

/// The row of an input at every site of the output, both ways. One thread per output.
struct meet_kernel {
  static constexpr const char* name = "sqs::sparse::meet";
  const key_type* key; ///< of the outputs
  const site_status* status;
  packed_sites input;
  idx capacity;
  std::int32_t *row, *output; ///< [capacity]; [rows of the input], -1 before

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = thread_of_grid(t);
    if (i >= capacity) { return; }
    const std::int32_t r = i < status->rows ? input.find(key[i]) : std::int32_t{-1};
    row[i] = r;
    if (r >= 0) { output[r] = static_cast<std::int32_t>(i); }
  }
};

/// Rows of N inputs that meet in each output. The status says which outputs exist; null: all.
template <std::size_t N> struct packed_join {
  const std::int32_t* row[N]; ///< null: 0, 1, 2, ...
  const site_status* status;

  SQS_DEVICE idx source(std::size_t k, idx i) const {
    if (status != nullptr && i >= status->rows) { return -1; }
    return row[k] == nullptr ? i : row[k][i];
  }
  SQS_DEVICE int present(idx i) const {
    int n = 0;
    for (std::size_t k = 0; k < N; ++k) { n += source(k, i) >= 0 ? 1 : 0; }
    return n;
  }
  /// The product of column c of all inputs but one; zero if one of them is absent.
  template <class T> SQS_DEVICE T product(const T* const* x, idx i, std::size_t but, idx channels, idx c) const {
    T v(1);
    for (std::size_t k = 0; k < N; ++k) {
      if (k == but) { continue; }
      const idx from = source(k, i);
      if (from < 0) { return T(0); }
      v *= x[k][from * channels + c];
    }
    return v;
  }
};

/// One thread per output and channel.
template <class T, std::size_t N> struct combine_kernel {
  static constexpr const char* name = "sqs::sparse::combine";
  packed_join<N> join;
  combination how;
  const T* x[N];
  idx rows, channels;
  T* y;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx n = thread_of_grid(t);
    if (n >= rows * channels) { return; }
    const idx i = n / channels, c = n % channels;
    if (how == combination::product) {
      y[n] = join.product(x, i, N, channels, c);
      return;
    }
    T sum(0);
    for (std::size_t k = 0; k < N; ++k) {
      if (const idx from = join.source(k, i); from >= 0) { sum += x[k][from * channels + c]; }
    }
    const int present = how == combination::mean ? join.present(i) : 1;
    y[n] = present > 1 ? sum / static_cast<T>(present) : sum;
  }
};
/// One thread per row of input `input` and channel.
template <class T, std::size_t N> struct combine_gradient_kernel {
  static constexpr const char* name = "sqs::sparse::combine_gradient";
  packed_join<N> join;
  combination how;
  const T *x[N], *dy;         ///< x: of a product
  const std::int32_t* output; ///< of the rows of the input; null: 0, 1, 2, ...
  std::size_t input;
  idx rows, channels;
  T* dx;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx n = thread_of_grid(t);
    if (n >= rows * channels) { return; }
    const idx row = n / channels, c = n % channels, i = output == nullptr ? row : output[row];
    if (i < 0 || join.source(input, i) < 0) {
      dx[n] = T(0);
      return;
    }
    const T d = dy[i * channels + c];
    if (how == combination::product) {
      dx[n] = join.product(x, i, input, channels, c) * d;
    } else {
      dx[n] = how == combination::mean ? d / static_cast<T>(join.present(i)) : d;
    }
  }
};

} // namespace sqs::sparse::detail
