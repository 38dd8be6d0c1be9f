// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sums over the rows of a matrix, column by column, and maps from rows to rows: what batch norm is made of.

#include <sqs/exec/parallel.hpp>
#include <sqs/sparse/detail/row_epilogue.hpp>

#include <cmath>

namespace sqs::sparse::detail {

template <class V, class T> SQS_INLINE V loaded(const T* p) {
  if constexpr (std::is_same_v<V, T>) {
    return *p;
  } else {
    return V::load(p);
  }
}
template <class V, class T> SQS_INLINE void put(V v, T* p) {
  if constexpr (std::is_same_v<V, T>) {
    *p = v;
  } else {
    v.store(p);
  }
}
/// Calls f.operator()<V>(column) with whole vectors of columns, then with single ones.
template <class T, class F> SQS_INLINE void for_columns(idx columns, F&& f) {
  idx c = 0;
  for (; c + native_lanes<T> <= columns; c += native_lanes<T>) { f.template operator()<simd<T, native_lanes<T>>>(c); }
  for (; c < columns; ++c) { f.template operator()<T>(c); }
}
/// Calls f(begin, end) for blocks of `Rows` rows: small enough that their columns, taken one after another, are in the
/// first cache.
template <idx Rows, class F> SQS_INLINE void for_blocks(idx begin, idx end, F&& f) {
  for (idx i = begin; i < end; i += Rows) { f(i, std::min(end, i + Rows)); }
}
inline constexpr idx rows_of_block = 32;  ///< whose sum is taken first: fp32 stays accurate over many rows
inline constexpr idx rows_of_range = 256; ///< whose sums are kept apart

/// total[j] += the sum over rows begin .. end - 1 of term(row), a vector of columns from j on.
template <class V, class T, class F> SQS_INLINE void add_terms(T* total, idx begin, idx end, F&& term) {
  V sum(0);
  for (idx i = begin; i < end; ++i) { sum = sum + term(i); }
  put(loaded<V>(total) + sum, total);
}

/// Mean and biased variance of each column; zeros if there are no rows.
///
/// Shapes      x [N, C] -> [C], [C]
/// Cost        x is read once from memory and once more from the cache.
template <class T> std::pair<tensor<T, 1>, tensor<T, 1>> column_moments(cpu& e, const tensor<T, 2>& x) {
  const idx n = x.extent(0), c = x.extent(1), parts = (n + rows_of_range - 1) / rows_of_range;
  auto means = zeros<T, 2>(e, {parts, c}), squares = zeros<T, 2>(e, {parts, c}); // squares of what deviates
  const T* const from = x.data();
  parallel_for(e, n, rows_of_range, [&](idx begin, idx end) {
    T *const mean = means.data() + begin / rows_of_range * c, *const square =
                                                                  squares.data() + begin / rows_of_range * c;
    for_blocks<rows_of_block>(begin, end, [&](idx first, idx last) {
      for_columns<T>(c, [&]<class V>(idx j) {
        add_terms<V>(mean + j, first, last, [&](idx i) { return loaded<V>(from + i * c + j); });
      });
    });
    for (idx j = 0; j < c; ++j) { mean[j] /= static_cast<T>(end - begin); }
    for_blocks<rows_of_block>(begin, end, [&](idx first, idx last) {
      for_columns<T>(c, [&]<class V>(idx j) {
        const V middle = loaded<V>(mean + j);
        add_terms<V>(square + j, first, last, [&](idx i) {
          const V d = loaded<V>(from + i * c + j) - middle;
          return d * d;
        });
      });
    });
  });
  auto m = zeros<double, 1>(e, {c}), s = zeros<double, 1>(e, {c});
  double rows = 0;
  for (idx p = 0; p < parts; ++p) {
    const double more = static_cast<double>(std::min(rows_of_range, n - p * rows_of_range)), all = rows + more;
    const double share = more / all, weight = rows * share;
    for (idx j = 0; j < c; ++j) {
      const double gap = static_cast<double>(means.data()[p * c + j]) - m.data()[j];
      s.data()[j] += static_cast<double>(squares.data()[p * c + j]) + gap * gap * weight;
      m.data()[j] += gap * share;
    }
    rows = all;
  }
  auto mean = empty<T, 1>(e, {c}), variance = empty<T, 1>(e, {c});
  for (idx j = 0; j < c; ++j) {
    mean.data()[j] = static_cast<T>(m.data()[j]);
    variance.data()[j] = static_cast<T>(s.data()[j] / std::max(rows, 1.0));
  }
  return {std::move(mean), std::move(variance)};
}

/// The sum of rows of [parts, C], in order and in double.
template <class T> tensor<T, 1> joined_sums(cpu& e, const tensor<T, 2>& parts) {
  const idx c = parts.extent(1);
  auto all = zeros<double, 1>(e, {c});
  for (idx p = 0; p < parts.extent(0); ++p) {
    for (idx j = 0; j < c; ++j) { all.data()[j] += static_cast<double>(parts.data()[p * c + j]); }
  }
  auto sum = empty<T, 1>(e, {c});
  for (idx j = 0; j < c; ++j) { sum.data()[j] = static_cast<T>(all.data()[j]); }
  return sum;
}

/// (sum of d, sum of d (x - centre)) over the rows, column by column.
template <class T> std::pair<tensor<T, 1>, tensor<T, 1>> gradient_sums(cpu& e, const tensor<T, 2>& x,
                                                                       const tensor<T, 2>& d,
                                                                       const tensor<T, 1>& centre) {
  const idx n = x.extent(0), c = x.extent(1), parts = (n + rows_of_range - 1) / rows_of_range;
  auto sums = zeros<T, 2>(e, {parts, c}), products = zeros<T, 2>(e, {parts, c});
  const T *const from = x.data(), *const gradient = d.data();
  parallel_for(e, n, rows_of_range, [&](idx begin, idx end) {
    T *const sum = sums.data() + begin / rows_of_range * c, *const product = products.data() + (sum - sums.data());
    for_blocks<rows_of_block>(begin, end, [&](idx first, idx last) {
      for_columns<T>(c, [&]<class V>(idx j) {
        const V middle = loaded<V>(centre.data() + j);
        add_terms<V>(sum + j, first, last, [&](idx i) { return loaded<V>(gradient + i * c + j); });
        add_terms<V>(product + j, first, last,
                     [&](idx i) { return loaded<V>(gradient + i * c + j) * (loaded<V>(from + i * c + j) - middle); });
      });
    });
  });
  return {joined_sums(e, sums), joined_sums(e, products)};
}

/// y = x scale + shift.
template <class T>
void scale_rows(cpu& e, const tensor<T, 2>& x, const tensor<T, 1>& scale, const tensor<T, 1>& shift, tensor<T, 2>& y) {
  const idx c = x.extent(1);
  const row_epilogue<T> f{scale.data(), shift.data(), nullptr, {}};
  T* const out = y.data();
  parallel_for(e, x.extent(0), 512, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      finish_row<activation_kind::identity>(f, x.data() + i * c, static_cast<const T*>(nullptr), out + i * c, 0, c);
    }
  });
}

/// y = (x - mean) scale + bias. Where x is the mean, y is the bias exactly, however large the scale.
template <class T> void normalise_rows(cpu& e, const tensor<T, 2>& x, const tensor<T, 1>& mean,
                                       const tensor<T, 1>& scale, const tensor<T, 1>& bias, tensor<T, 2>& y) {
  const idx c = x.extent(1);
  T* const out = y.data();
  parallel_for(e, x.extent(0), 512, [&](idx begin, idx end) {
    for_blocks<16>(begin, end, [&](idx first, idx last) {
      for_columns<T>(c, [&]<class V>(idx j) {
        const auto at = [j](const tensor<T, 1>& t) { return loaded<V>(t.data() + j); };
        const V middle = at(mean), a = at(scale), b = at(bias);
        const T* const from = x.data() + j;
        for (idx i = first * c; i < last * c; i += c) { put((loaded<V>(from + i) - middle) * a + b, out + i + j); }
      });
    });
  });
}

/// y = of_d d + of_x (x - centre) + constant.
template <class T> void combine_rows(cpu& e, const tensor<T, 2>& x, const tensor<T, 1>& centre, const tensor<T, 2>& d,
                                     const tensor<T, 1>& of_x, const tensor<T, 1>& of_d, const tensor<T, 1>& constant,
                                     tensor<T, 2>& y) {
  const idx c = x.extent(1);
  T* const out = y.data();
  parallel_for(e, x.extent(0), 512, [&](idx begin, idx end) {
    for_blocks<16>(begin, end, [&](idx first, idx last) {
      for_columns<T>(c, [&]<class V>(idx j) {
        const auto at = [j](const tensor<T, 1>& t) { return loaded<V>(t.data() + j); };
        const V middle = at(centre), a = at(of_x), b = at(of_d), k = at(constant);
        const T *const from = x.data() + j, *const gradient = d.data() + j;
        for (idx i = first * c; i < last * c; i += c) {
          put(b * loaded<V>(gradient + i) + a * (loaded<V>(from + i) - middle) + k, out + i + j);
        }
      });
    });
  });
}

} // namespace sqs::sparse::detail
