// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The 2^D cells around a position and their weights in linear interpolation.

#include <sqs/sparse/detail/cell_cursor.hpp>
#include <sqs/sparse/detail/mixture.hpp>
#include <sqs/sparse/grid_map.hpp>

namespace sqs::sparse::detail {

/// Corner k is the cell base + (bits of k, the highest for the first axis): ascending k is ascending keys.
template <class T, int D> struct corner_box {
  static constexpr std::size_t axes = static_cast<std::size_t>(D);
  static constexpr std::size_t count = std::size_t{1} << axes;
  std::array<idx, axes> base{};
  std::array<T, axes> part{};  ///< position = base + part
  std::array<T, axes> slope{}; ///< d position / d point
  bool inside = true;          ///< some corner may be a cell of the grid

  static idx bit(std::size_t k, std::size_t axis) { return static_cast<idx>(k >> (axes - 1 - axis) & 1); }

  /// `clamped`: positions beyond the middles of the outermost cells are moved there. A position that is no number is
  /// near no cell. In double: cells beyond 2^24 are no numbers of float; and what only rounding keeps from the middle of
  /// a cell is there, so that no neighbour enters with a weight that is all rounding.
  template <class P>
  corner_box(const grid_map<D>& map, const P* point, const std::array<idx, axes>& grid, bool clamped) {
    for (std::size_t a = 0; a < axes; ++a) {
      const double most = static_cast<double>(grid[a] - 1);
      double p = map.scale[a] * static_cast<double>(point[a]) + map.shift[a];
      slope[a] = static_cast<T>(map.scale[a]);
      if (clamped && (p < 0 || p > most)) { p = p < 0 ? 0 : most, slope[a] = T(0); }
      const double middle = std::round(p);
      if (std::abs(p - middle) < 1e-14 * (1 + std::abs(p))) { p = middle; }
      const double below = std::floor(p);
      inside = inside && below >= -1 && below <= most;
      if (!inside) { return; }
      base[a] = static_cast<idx>(below);
      part[a] = static_cast<T>(p - below);
    }
  }
  T weight(std::size_t k) const { return product(k, axes); }
  /// d weight / d point along one axis. Where it has two values, that towards the larger positions.
  T weight_slope(std::size_t k, std::size_t axis) const {
    return (bit(k, axis) == 1 ? slope[axis] : -slope[axis]) * product(k, axis);
  }

private:
  T product(std::size_t k, std::size_t but) const {
    T w(1);
    for (std::size_t a = 0; a < axes; ++a) {
      if (a != but) { w *= bit(k, a) == 1 ? part[a] : T(1) - part[a]; }
    }
    return w;
  }
};

/// Finds the rows of the corners, with a memory for each of the rows of cells they lie in.
template <int D> class corner_finder {
public:
  static constexpr std::size_t axes = static_cast<std::size_t>(D);
  static constexpr std::size_t lines = std::size_t{1} << (axes - 1);

  explicit corner_finder(const sites<D>& s) : s_(&s), cursor_(cursors(s, std::make_index_sequence<lines>{})) {}

  /// row[k] = the lowest row at corner k, -1 if there is none.
  void find(idx batch, const std::array<idx, axes>& base, std::int32_t* row) {
    const auto& layout = s_->layout;
    for (std::size_t line = 0; line < lines; ++line) {
      key_type key = layout.part(batch, 0);
      bool inside = true;
      for (std::size_t a = 0; a + 1 < axes; ++a) {
        const idx c = base[a] + static_cast<idx>(line >> (axes - 2 - a) & 1);
        inside = inside && c >= 0 && c < layout.grid[a];
        key |= inside ? layout.part(c, a + 1) : 0;
      }
      idx word = -1, place = -1;
      for (idx z = 0; z < 2; ++z) {
        std::int32_t& to = row[2 * line + static_cast<std::size_t>(z)];
        to = -1;
        const idx c = base[axes - 1] + z;
        if (!inside || c < 0 || c >= layout.grid[axes - 1]) { continue; }
        if (c / 64 != word) {
          word = c / 64;
          place = cursor_[line].word(layout.word_of(key | layout.part(c, axes)));
        }
        const idx cell = place < 0 ? -1 : cursor_[line].cell(place, static_cast<int>(c & 63));
        if (cell >= 0) { to = static_cast<std::int32_t>(s_->row_at(s_->first ? s_->first.data()[cell] : cell)); }
      }
    }
  }

private:
  template <std::size_t... I>
  static std::array<cell_cursor, lines> cursors(const sites<D>& s, std::index_sequence<I...>) {
    return {((void)I, cell_cursor(s.words))...};
  }
  const sites<D>* s_;
  std::array<cell_cursor, lines> cursor_;
};

/// The gradient of a mixture of corners to the points they belong to: through the weights. `corners(i)` gives the box of
/// point i; `shared`: weights were divided by their sum.
template <class T, int D, class Index, class Corners> tensor<T, 2> point_gradient(cpu& e, const mixture<T, Index>& m,
                                                                                  const T* x, const tensor<T, 2>& dy,
                                                                                  bool shared, Corners&& corners) {
  constexpr std::size_t count = corner_box<T, D>::count;
  const idx c = dy.extent(1);
  auto d = zeros<T, 2>(e, {m.outputs(), D});
  parallel_for(e, m.outputs(), mixed_rows_of_task, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      const corner_box<T, D> box = corners(i);
      if (!box.inside) { continue; }
      const Index* const source = m.source.data() + i * static_cast<idx>(count);
      std::array<T, count> dw{};
      T sum(0), mean(0);
      for (std::size_t k = 0; k < count; ++k) {
        if (source[k] < 0) { continue; }
        dw[k] = dot_rows(dy.data() + i * c, x + idx{source[k]} * c, c);
        sum += box.weight(k);
        mean += m.weight.data()[i * static_cast<idx>(count) + static_cast<idx>(k)] * dw[k];
      }
      if (shared && !(sum > T(0))) { continue; }
      for (std::size_t k = 0; k < count; ++k) {
        if (source[k] < 0) { continue; }
        const T slope = shared ? (dw[k] - mean) / sum : dw[k];
        for (std::size_t a = 0; a < box.axes; ++a) {
          d.data()[i * D + static_cast<idx>(a)] += slope * box.weight_slope(k, a);
        }
      }
    }
  });
  return d;
}

/// Points and the batch items they are in.
template <class T, int D> void check_points(cpu& e, const tensor<T, 2>& points, const tensor<std::int32_t, 1>& batch,
                                            idx batches, const char* where) {
  const idx n = points.extent(0);
  expects(points.extent(1) == D, "sqs::sparse::", where, ": points have ", points.extent(1), " columns, the grid ", D,
          " axes; give one column per axis");
  if (batch.size() == 0) { return; }
  expects(batch.size() == n, "sqs::sparse::", where, ": ", batch.size(), " batch numbers for ", n,
          " points; give one each, or none for batch 0");
  const idx bad = first_index(e, n, [&](idx i) { return batch.data()[i] < 0 || batch.data()[i] >= batches; });
  expects(bad == n, "sqs::sparse::", where, ": point ", bad, " is in batch ", bad < n ? batch.data()[bad] : 0, " of ",
          batches, "; give 0 <= batch < batches");
}

} // namespace sqs::sparse::detail
