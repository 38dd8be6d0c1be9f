// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// One row of features per batch item.

#include <sqs/sparse/pooling.hpp>
#include <sqs/sparse/sites.hpp>

namespace sqs::sparse {

namespace detail {

/// The rows of each batch item, in order of the keys, cut into pieces of a fixed number of rows.
class batch_pieces {
public:
  template <int D> batch_pieces(cpu& e, const sites<D>& s) {
    begin_ = empty<idx, 1>(e, {s.batches() + 1});
    first_ = empty<idx, 1>(e, {s.batches() + 1});
    const key_type *keys = s.key.data(), *behind = keys + s.voxels();
    for (idx b = 0; b < s.batches(); ++b) {
      const idx voxel = std::lower_bound(keys, behind, s.layout.part(b, 0)) - keys;
      begin_.data()[b] = s.first ? s.first.data()[voxel] : voxel;
    }
    begin_.data()[s.batches()] = s.rows;
    for (idx b = 0; b < s.batches(); ++b) { first_.data()[b] = (rows(b) + step - 1) / step; }
    first_.data()[s.batches()] = exclusive_scan(e, first_.data(), first_.data(), s.batches());
  }
  idx batches() const { return begin_.size() - 1; }
  idx count() const { return first_.data()[batches()]; }
  idx rows(idx batch) const { return begin_.data()[batch + 1] - begin_.data()[batch]; }
  /// The first piece of a batch item.
  idx first(idx batch) const { return first_.data()[batch]; }
  /// Calls f(piece, batch, begin, end) for all pieces; begin and end are positions in the order of the sites.
  template <class F> void each(cpu& e, F&& f) const {
    parallel_for(e, count(), 1, [&](idx p, idx) {
      const idx b = std::upper_bound(first_.data(), first_.data() + batches() + 1, p) - first_.data() - 1;
      const idx from = begin_.data()[b] + (p - first_.data()[b]) * step;
      f(p, b, from, std::min(from + step, begin_.data()[b + 1]));
    });
  }

private:
  static constexpr idx step = 1 << 12;
  tensor<idx, 1> begin_, first_;
};

} // namespace detail

/// y[b] = the maximum, mean or sum of all rows of batch item b; 0 without a gradient where it has none.
///
/// Shapes      x [N, C] -> y [batches, C]
/// Gradient    x. Maximum: of equal ones to the lowest row.
/// Execution   Pieces of 4096 rows in order of the keys, joined in order.
/// Errors      precondition_error if x has another number of rows than the sites.
template <int D> struct global_pooling_op {
  sites<D> at;
  pooling kind = pooling::mean;

  struct saved {
    tensor<std::int32_t, 2> winner;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    const idx c = x.extent(1);
    expects(x.extent(0) == at.rows, "sqs::sparse::global_pooling_op: x has ", x.extent(0), " rows, the sites ", at.rows,
            "; give one row per site");
    const detail::batch_pieces pieces(e, at);
    auto part = zeros<T, 2>(e, {pieces.count(), c});
    tensor<std::int32_t, 2> from;
    if (kind == pooling::max) { from = empty<std::int32_t, 2>(e, part.shape()); }
    pieces.each(e, [&](idx p, idx, idx begin, idx end) {
      T* const to = part.data() + p * c;
      for (idx i = begin; i < end; ++i) {
        const idx row = at.row_at(i);
        if (kind != pooling::max) {
          detail::add_row(x.data() + row * c, to, c);
        } else if (i == begin) {
          std::copy_n(x.data() + row * c, c, to);
          std::fill_n(from.data() + p * c, c, static_cast<std::int32_t>(row));
        } else {
          join(x.data() + row * c, static_cast<std::int32_t>(row), to, from.data() + p * c, c);
        }
      }
    });
    return finish(e, pieces, part, from);
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 2>& dy) const {
    const idx c = dy.extent(1);
    expects(dy.extent(0) == at.batches() && (!s.winner || c == s.winner.extent(1)),
            "sqs::sparse::global_pooling_op: the gradient of y is [", dy.extent(0), ", ", c, "], y has ", at.batches(),
            " rows; give a gradient of y's shape");
    auto dx = empty<T, 2>(e, {at.rows, c});
    const detail::batch_pieces pieces(e, at);
    pieces.each(e, [&](idx, idx b, idx begin, idx end) {
      const T* const d = dy.data() + b * c;
      for (idx i = begin; i < end; ++i) {
        const idx row = at.row_at(i);
        T* const to = dx.data() + row * c;
        const T n = kind == pooling::mean ? static_cast<T>(pieces.rows(b)) : T(1);
        for (idx j = 0; j < c; ++j) {
          to[j] = kind == pooling::max && s.winner.data()[b * c + j] != row ? T(0) : d[j] / n;
        }
      }
    });
    return dx;
  }

private:
  /// The larger ones, of equal ones those of the lower row: rows need not come in order. A NaN is taken and stays.
  template <class T> static void join(const T* x, std::int32_t row, T* to, std::int32_t* from, idx c) {
    for (idx j = 0; j < c; ++j) {
      if ((!(x[j] <= to[j]) && to[j] == to[j]) || (x[j] == to[j] && row < from[j])) { to[j] = x[j], from[j] = row; }
    }
  }
  /// Joins the pieces of each batch item.
  template <class T> auto finish(cpu& e, const detail::batch_pieces& pieces, const tensor<T, 2>& part,
                                 const tensor<std::int32_t, 2>& from) const {
    const idx c = part.extent(1);
    auto y = zeros<T, 2>(e, {pieces.batches(), c});
    saved s;
    if (from) { s.winner = full<std::int32_t, 2>(e, y.shape(), -1); }
    for (idx b = 0; b < pieces.batches(); ++b) {
      T* const to = y.data() + b * c;
      for (idx p = pieces.first(b); p < pieces.first(b + 1); ++p) {
        const T* const x = part.data() + p * c;
        for (idx j = 0; j < c; ++j) {
          if (!from) {
            to[j] += x[j];
          } else if (p == pieces.first(b)) {
            to[j] = x[j], s.winner.data()[b * c + j] = from.data()[p * c + j];
          } else {
            join(x + j, from.data()[p * c + j], to + j, s.winner.data() + b * c + j, 1);
          }
        }
      }
      const T n = kind == pooling::mean ? static_cast<T>(std::max<idx>(pieces.rows(b), 1)) : T(1);
      for (idx j = 0; j < c; ++j) { to[j] /= n; }
    }
    return result{std::move(y), std::move(s)};
  }
};

} // namespace sqs::sparse
