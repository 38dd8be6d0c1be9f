// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Sparse tensors from dense ones and back: [B, X, Y, Z, C], channels last.

#include <sqs/sparse/coo_tensor.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>

namespace sqs::sparse {

namespace detail {
template <int D> extents<D + 2> dense_shape(const sites<D>& s, idx channels) {
  extents<D + 2> shape{};
  shape[0] = s.batches();
  for (std::size_t a = 0; a < static_cast<std::size_t>(D); ++a) { shape[a + 1] = s.grid()[a]; }
  shape[static_cast<std::size_t>(D) + 1] = channels;
  return shape;
}
/// The number of the voxel's cell in [B, X, Y, Z], row by row.
template <int D> idx cell_number(const sites<D>& s, idx voxel) {
  const auto k = s.key.data()[voxel];
  idx n = s.layout.coordinate(k, 0);
  for (std::size_t a = 1; a <= s.layout.last; ++a) { n = n * s.grid()[a - 1] + s.layout.coordinate(k, a); }
  return n;
}
/// dense[cell] = sum of the rows of the voxel; other cells stay.
template <class T, int D> void put_rows(cpu& e, const sites<D>& s, const tensor<T, 2>& x, T* dense) {
  const idx c = x.extent(1);
  parallel_for(e, s.voxels(), 1 << 10, [&](idx begin, idx end) {
    for (idx v = begin; v < end; ++v) {
      T* const to = dense + cell_number(s, v) * c;
      const idx first = s.first ? s.first.data()[v] : v, behind = s.first ? s.first.data()[v + 1] : v + 1;
      std::copy_n(x.data() + s.row_at(first) * c, c, to);
      for (idx i = first + 1; i < behind; ++i) {
        const T* const row = x.data() + s.row_at(i) * c;
        for (idx j = 0; j < c; ++j) { to[j] += row[j]; }
      }
    }
  });
}
/// Row = dense[cell].
template <class T, int D> tensor<T, 2> get_rows(cpu& e, const sites<D>& s, const T* dense, idx c) {
  auto x = empty<T, 2>(e, {s.rows, c});
  parallel_for(e, s.rows, 1 << 10, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      std::copy_n(dense + cell_number(s, s.voxel_at(i)) * c, c, x.data() + s.row_at(i) * c);
    }
  });
  return x;
}
template <class T> tensor<T, 1> zeroed(cpu& e, idx n) {
  auto t = empty<T, 1>(e, {n});
  parallel_for(e, n, 1 << 16, [&](idx begin, idx end) { std::fill(t.data() + begin, t.data() + end, T{}); });
  return t;
}
} // namespace detail

/// y[b, x, y, z] = the row at that site, zero where there is none; rows that share a voxel are added.
///
/// Shapes      x [N, C] -> y [B, X, Y, Z, C] (as many axes as the sites have)
/// Gradient    x
/// Errors      precondition_error if x has another number of rows than the sites.
template <int D> struct to_dense_op {
  sites<D> at;
  struct saved {};
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    expects(x.extent(0) == at.rows, "sqs::sparse::to_dense_op: x has ", x.extent(0), " rows, the sites ", at.rows,
            "; give one row per site");
    const auto shape = detail::dense_shape(at, x.extent(1));
    sqs::detail::check_extents(shape);
    auto y = detail::zeroed<T>(e, element_count(shape));
    detail::put_rows(e, at, x, y.data());
    return result{y.template reshaped<D + 2>(shape), saved{}};
  }
  template <class T> auto backward(cpu& e, const saved&, const tensor<T, D + 2>& dy) const {
    expects(dy.shape() == detail::dense_shape(at, dy.extent(D + 1)), "sqs::sparse::to_dense_op: the gradient of y is [",
            detail::extents_text(dy.shape()), "], y [", detail::extents_text(detail::dense_shape(at, dy.extent(D + 1))),
            "]; give a gradient of y's shape");
    return detail::get_rows(e, at, dy.data(), dy.extent(D + 1));
  }
};

/// y[i] = x[b, x, y, z] of site i. The transpose of `to_dense_op`.
///
/// Shapes      x [B, X, Y, Z, C] -> y [N, C]
/// Gradient    x
/// Errors      precondition_error if x has other extents than the sites' grid.
template <int D> struct from_dense_op {
  sites<D> at;
  struct saved {};
  template <class T> auto forward(cpu& e, const tensor<T, D + 2>& x) const {
    const auto shape = detail::dense_shape(at, x.extent(D + 1));
    expects(x.shape() == shape, "sqs::sparse::from_dense_op: x is [", detail::extents_text(x.shape()),
            "], the sites need [", detail::extents_text(shape), "]; give a volume of the sites' batches and grid");
    return result{detail::get_rows(e, at, x.data(), x.extent(D + 1)), saved{}};
  }
  template <class T> auto backward(cpu& e, const saved&, const tensor<T, 2>& dy) const {
    detail::require_gradient("from_dense_op", dy, at.rows);
    const auto shape = detail::dense_shape(at, dy.extent(1));
    auto dx = detail::zeroed<T>(e, element_count(shape));
    detail::put_rows(e, at, dy, dx.data());
    return dx.template reshaped<D + 2>(shape);
  }
};

namespace detail {
/// Sites of the cells [B, X, Y, Z] for which `occupied(cell number)` holds, in ascending order.
template <int D, class Occupied> sites<D> sites_where(cpu& e, const key_layout<D>& layout, Occupied&& occupied) {
  const idx length = layout.grid[layout.last - 1], per_row = layout.words_of_row();
  idx rows = layout.batches;
  for (std::size_t a = 0; a + 1 < layout.last; ++a) { rows *= layout.grid[a]; }
  const auto mask_of = [=, &occupied](idx word) {
    const idx row = word / per_row, first = word % per_row * 64, cells = std::min<idx>(64, length - first);
    std::uint64_t m = 0;
    for (idx i = 0; i < cells; ++i) { m |= std::uint64_t{occupied(row * length + first + i) ? 1u : 0u} << i; }
    return m;
  };
  auto all = empty<std::uint64_t, 1>(e, {rows * per_row});
  parallel_for(e, all.size(), 1 << 6, [&](idx begin, idx end) {
    for (idx w = begin; w < end; ++w) { all.data()[w] = mask_of(w); }
  });
  idx count = 0;
  for (const auto m : all.span()) { count += m != 0 ? 1 : 0; }
  auto words = empty_words(e, count, 0);
  for (idx w = 0, to = 0; w < all.size(); ++w) {
    if (all.data()[w] == 0) { continue; }
    key_type key = 0;
    idx row = w / per_row;
    for (std::size_t a = layout.last; a-- > 1; row /= layout.grid[a - 1]) {
      key |= layout.part(row % layout.grid[a - 1], a);
    }
    key |= layout.part(row, 0);
    words.number.data()[to] = layout.row_of_key(key) | static_cast<key_type>(w % per_row);
    words.mask.data()[to++] = all.data()[w];
  }
  return sites_of_words(e, layout, std::move(words));
}
template <int D, std::size_t R> key_layout<D> layout_of_volume(const std::array<idx, R>& shape) {
  typename key_layout<D>::position grid{};
  std::copy_n(shape.begin() + 1, D, grid.begin());
  return {grid, shape[0]};
}
} // namespace detail

/// Sites where a volume has a channel that is not zero (NaN is not), in order of the keys. No gradient: sites are a choice.
///
/// Shapes      volume [B, X, Y, Z, C]
template <class T, int R> sites<R - 2> sites_of_nonzero(cpu& e, const tensor<T, R>& volume) {
  static_assert(R >= 3 && R <= 6, "sqs::sparse::sites_of_nonzero: give [B, 1 to 4 axes, C]");
  const idx c = volume.extent(R - 1);
  return detail::sites_where<R - 2>(e, detail::layout_of_volume<R - 2>(volume.shape()), [&](idx cell) {
    const T* const x = volume.data() + cell * c;
    return std::any_of(x, x + c, [](T v) { return v != T{}; });
  });
}
/// Sites where a mask is not zero, in order of the keys.
///
/// Shapes      mask [B, X, Y, Z]
template <int R> sites<R - 1> sites_of_mask(cpu& e, const tensor<std::uint8_t, R>& mask) {
  static_assert(R >= 2 && R <= 5, "sqs::sparse::sites_of_mask: give [B, 1 to 4 axes]");
  return detail::sites_where<R - 1>(e, detail::layout_of_volume<R - 1>(mask.shape()),
                                    [&](idx cell) { return mask.data()[cell] != 0; });
}

} // namespace sqs::sparse
