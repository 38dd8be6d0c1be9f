// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Several sparse tensors become one: row by row where their sites meet, channels side by side.

#include <sqs/autodiff/result.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>
#include <sqs/sparse/detail/row_math.hpp>
#include <sqs/sparse/join.hpp>

namespace sqs::sparse {

/// What becomes of the rows that meet. An absent row is zero.
enum class combination {
  sum,
  mean,   ///< over the rows there are: a row alone stays what it is
  product ///< zero where a row is absent
};

namespace detail {
template <class T, std::size_t N>
void check_joined(const row_join<N>& j, const std::array<tensor<T, 2>, N>& x, bool same_channels, const char* where) {
  for (std::size_t i = 0; i < N; ++i) {
    expects(x[i].extent(0) == j.inputs[i], "sqs::sparse::", where, ": input ", i, " has ", x[i].extent(0),
            " rows, the join was made for ", j.inputs[i], "; give the features of the sites that were joined");
    expects(!same_channels || x[i].extent(1) == x[0].extent(1), "sqs::sparse::", where, ": input ", i, " has ",
            x[i].extent(1), " channels, input 0 has ", x[0].extent(1), "; they must agree");
  }
}
/// Calls f(row) for all rows, many at a time on each thread.
template <class F> void each_row(cpu& e, idx rows, F&& f) {
  parallel_for(e, rows, 1 << 10, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) { f(i); }
  });
}
} // namespace detail

/// y[i] = the sum, mean or product of the rows of N inputs that meet at output i.
///
/// Shapes      x0 [N0, C], x1 [N1, C], ... -> y [rows, C]
/// Gradient    all inputs; skips those nobody wants
/// Execution   Parallel over rows; inputs in order.
/// Errors      precondition_error if an input has other rows than were joined, or channels differ.
template <std::size_t N> struct combine_op {
  row_join<N> join;
  combination how = combination::sum;

  template <class T> struct saved {
    std::array<tensor<T, 2>, N> x; ///< of a product
  };
  template <class T, class... More>
    requires(1 + sizeof...(More) == N)
  auto forward(cpu& e, const tensor<T, 2>& x, const More&... more) const {
    const std::array<tensor<T, 2>, N> all{x, more...};
    detail::check_joined(join, all, true, "combine_op");
    const idx c = x.extent(1);
    auto y = empty<T, 2>(e, {join.rows, c});
    detail::each_row(e, join.rows, [&](idx i) {
      T* const to = y.data() + i * c;
      std::fill_n(to, c, T(0));
      if (how == combination::product) {
        multiply(all, i, N, to, c);
        return;
      }
      for (std::size_t k = 0; k < N; ++k) {
        if (const idx row = join.source(k, i); row >= 0) { detail::add_row(all[k].data() + row * c, to, c); }
      }
      if (how == combination::mean) {
        for (idx j = 0; j < c; ++j) { to[j] /= static_cast<T>(present(i)); }
      }
    });
    saved<T> s;
    if (how == combination::product) { s.x = all; }
    return result{std::move(y), std::move(s)};
  }
  template <class T>
  auto backward(cpu& e, const saved<T>& s, const tensor<T, 2>& dy, const std::array<bool, N>& needs) const {
    detail::require_gradient("combine_op", dy, join.rows, how == combination::product ? s.x[0].extent(1) : -1);
    std::array<tensor<T, 2>, N> dx;
    const idx c = dy.extent(1);
    for (std::size_t k = 0; k < N; ++k) {
      if (!needs[k]) { continue; }
      dx[k] = empty<T, 2>(e, {join.inputs[k], c});
      detail::each_row(e, join.inputs[k], [&](idx row) {
        T* const to = dx[k].data() + row * c;
        const idx i = join.target(k, row);
        std::fill_n(to, c, T(0));
        if (i < 0) { return; }
        const T* const d = dy.data() + i * c;
        if (how == combination::product) {
          multiply(s.x, i, k, to, c);
          for (idx j = 0; j < c; ++j) { to[j] *= d[j]; }
        } else {
          const T n = how == combination::mean ? static_cast<T>(present(i)) : T(1);
          for (idx j = 0; j < c; ++j) { to[j] = d[j] / n; }
        }
      });
    }
    return std::apply([](auto&... each) { return std::tuple{std::move(each)...}; }, dx);
  }

private:
  /// How many inputs have a row at output i: at least one.
  idx present(idx i) const {
    idx n = 0;
    for (std::size_t k = 0; k < N; ++k) { n += join.source(k, i) >= 0 ? 1 : 0; }
    return n;
  }
  /// to = the product of all inputs but one at output i; stays as it is if one of them is absent.
  template <class T> void multiply(const std::array<tensor<T, 2>, N>& x, idx i, std::size_t but, T* to, idx c) const {
    for (std::size_t k = 0; k < N; ++k) {
      if (k != but && join.source(k, i) < 0) { return; }
    }
    std::fill_n(to, c, T(1));
    for (std::size_t k = 0; k < N; ++k) {
      if (k == but) { continue; }
      const T* const row = x[k].data() + join.source(k, i) * c;
      for (idx j = 0; j < c; ++j) { to[j] *= row[j]; }
    }
  }
};

/// y[i] = the rows of N inputs that meet at output i, side by side; zero for one that is absent.
///
/// Shapes      x0 [N0, C0], x1 [N1, C1], ... -> y [rows, C0 + C1 + ...]
/// Gradient    all inputs; skips those nobody wants
/// Errors      precondition_error if an input has other rows than were joined.
template <std::size_t N> struct concatenate_channels_op {
  row_join<N> join;

  struct saved {
    std::array<idx, N> channels;
  };
  template <class T, class... More>
    requires(1 + sizeof...(More) == N)
  auto forward(cpu& e, const tensor<T, 2>& x, const More&... more) const {
    const std::array<tensor<T, 2>, N> all{x, more...};
    detail::check_joined(join, all, false, "concatenate_channels_op");
    saved s{};
    idx c = 0;
    for (std::size_t k = 0; k < N; ++k) { c += s.channels[k] = all[k].extent(1); }
    auto y = empty<T, 2>(e, {join.rows, c});
    detail::each_row(e, join.rows, [&](idx i) {
      T* to = y.data() + i * c;
      for (std::size_t k = 0; k < N; to += s.channels[k++]) {
        const idx row = join.source(k, i);
        if (row < 0) {
          std::fill_n(to, s.channels[k], T(0));
        } else {
          std::copy_n(all[k].data() + row * s.channels[k], s.channels[k], to);
        }
      }
    });
    return result{std::move(y), s};
  }
  template <class T>
  auto backward(cpu& e, const saved& s, const tensor<T, 2>& dy, const std::array<bool, N>& needs) const {
    idx channels = 0;
    for (const idx c : s.channels) { channels += c; }
    detail::require_gradient("concatenate_channels_op", dy, join.rows, channels);
    std::array<tensor<T, 2>, N> dx;
    const T* from = dy.data();
    for (std::size_t k = 0; k < N; from += s.channels[k++]) {
      if (!needs[k]) { continue; }
      const idx c = s.channels[k];
      dx[k] = empty<T, 2>(e, {join.inputs[k], c});
      detail::each_row(e, join.inputs[k], [&](idx row) {
        const idx i = join.target(k, row);
        T* const to = dx[k].data() + row * c;
        if (i < 0) {
          std::fill_n(to, c, T(0));
        } else {
          std::copy_n(from + i * dy.extent(1), c, to);
        }
      });
    }
    return std::apply([](auto&... each) { return std::tuple{std::move(each)...}; }, dx);
  }
};

} // namespace sqs::sparse
