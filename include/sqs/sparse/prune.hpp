// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Fewer rows: inside a box, where a mask says so, the best of each batch item; and the way back.

#include <sqs/sparse/coo_tensor.hpp>
#include <sqs/sparse/detail/gradient_shape.hpp>

#include <limits>

namespace sqs::sparse {

/// The sites for which `mask` is not zero, in the order they had. Features follow with `take_rows_op{selection.rows}`,
/// whose gradient is zero in the rows left out.
///
/// Shapes      mask [N]
/// Errors      precondition_error if the mask has another number of elements than the sites rows.
template <int D> site_selection<D> prune(cpu& e, const sites<D>& s, const tensor<std::uint8_t, 1>& mask) {
  expects(mask.size() == s.rows, "sqs::sparse::prune: the mask has ", mask.size(), " elements for ", s.rows,
          " sites; give one per row");
  return select_sites(e, s, [&](idx row) { return mask.data()[row] != 0; });
}

/// What becomes of the coordinates of a cropped tensor.
enum class crop_grid {
  kept, ///< sites and grid stay what they were
  moved ///< the box becomes the grid: its lower corner is 0
};

/// The sites with lower <= (x, y, z) < upper, in the order they had.
///
/// Errors      precondition_error if the box has no cells.
template <int D> site_selection<D> crop(cpu& e, const sites<D>& s,
                                        const std::type_identity_t<typename sites<D>::position>& lower,
                                        const std::type_identity_t<typename sites<D>::position>& upper,
                                        crop_grid grid = crop_grid::kept) {
  for (std::size_t a = 0; a < lower.size(); ++a) {
    expects(lower[a] < upper[a], "sqs::sparse::crop: axis ", a, " goes from ", lower[a], " to ", upper[a],
            "; give lower < upper in cells");
  }
  const auto c = s.coordinates(e);
  auto kept = select_sites(e, s, [&](idx row) {
    const std::int32_t* const at = c.data() + row * (D + 1) + 1;
    bool inside = true;
    for (std::size_t a = 0; a < lower.size(); ++a) { inside = inside && at[a] >= lower[a] && at[a] < upper[a]; }
    return inside;
  });
  if (grid == crop_grid::moved) {
    typename sites<D>::position extent{};
    for (std::size_t a = 0; a < extent.size(); ++a) {
      constexpr idx most = idx{1} << 31;
      expects(lower[a] >= -most && upper[a] <= most, "sqs::sparse::crop: axis ", a, " of the new grid would go from ",
              lower[a], " to ", upper[a], "; give a box of at most 2^31 cells");
      extent[a] = upper[a] - lower[a];
    }
    auto moved = kept.at.coordinates(e);
    parallel_for(e, kept.at.rows, 1 << 12, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        for (std::size_t a = 0; a < extent.size(); ++a) {
          std::int32_t& at = moved.data()[i * (D + 1) + 1 + static_cast<idx>(a)];
          at = static_cast<std::int32_t>(at - lower[a]);
        }
      }
    });
    kept.at =
        make_sites<D>(e, moved, extent, s.batches(), s.shared() ? voxel_sharing::allowed : voxel_sharing::refused);
  }
  return kept;
}

namespace detail {

/// A number that is smaller the better the score: equal scores are equal (also 0 and -0), a NaN is the worst.
template <class T> auto descending_key(T score) {
  using bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  static_assert(std::is_floating_point_v<T> && sizeof(T) == sizeof(bits),
                "sqs::sparse::top_k: scores are float or double");
  constexpr bits sign = bits{1} << (8 * sizeof(T) - 1);
  if (score != score) { return ~bits{0}; }
  const bits b = std::bit_cast<bits>(score == T(0) ? T(0) : score);
  const bits ascending = (b & sign) != 0 ? ~b : b | sign;
  return static_cast<bits>(~ascending);
}

} // namespace detail

/// The k rows of each batch item with the highest scores (all, where it has fewer), in the order they had. Of equal
/// scores the lower row is kept; a NaN is below every number. No gradient to the scores: sites are a choice.
///
/// Shapes      score [N]
/// Errors      precondition_error for a negative k or another number of scores than sites.
/// Cost        A radix sort of the scores.
template <class T, int D> site_selection<D> top_k(cpu& e, const sites<D>& s, const tensor<T, 1>& score, idx k) {
  expects(k >= 0, "sqs::sparse::top_k: k is ", k, "; give 0 or more");
  expects(score.size() == s.rows, "sqs::sparse::top_k: ", score.size(), " scores for ", s.rows,
          " sites; give one per row");
  using key = decltype(detail::descending_key(T{}));
  const idx n = s.rows;
  auto keys = empty<key, 1>(e, {n}), other_keys = empty<key, 1>(e, {n});
  auto rows = empty<std::int32_t, 1>(e, {n}), other_rows = empty<std::int32_t, 1>(e, {n});
  parallel_for(e, n, 1 << 14, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      keys.data()[i] = detail::descending_key(score.data()[i]);
      rows.data()[i] = static_cast<std::int32_t>(i);
    }
  });
  radix_sort_pairs(e, keys.data(), rows.data(), other_keys.data(), other_rows.data(), n, 8 * int{sizeof(key)});
  // The sort is stable: a second one, by batch item, leaves the scores in order within each.
  const auto coordinates = s.coordinates(e);
  const auto batch_of = [&](idx i) { return static_cast<key>(coordinates.data()[idx{rows.data()[i]} * (D + 1)]); };
  parallel_for(e, n, 1 << 14, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) { keys.data()[i] = batch_of(i); }
  });
  radix_sort_pairs(e, keys.data(), rows.data(), other_keys.data(), other_rows.data(), n, detail::bits_for(s.batches()));
  auto mask = empty<std::uint8_t, 1>(e, {n});
  parallel_for(e, n, 1 << 14, [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      // Among the first k of its item: the row k places earlier is of another one.
      const bool best = k > 0 && (i < k || keys.data()[i - k] != keys.data()[i]);
      mask.data()[rows.data()[i]] = best ? 1 : 0;
    }
  });
  return prune(e, s, mask);
}

/// y[rows[i]] = x[i], zero elsewhere: the way back of `take_rows_op`.
///
/// Shapes      x [M, C], rows [M], no row twice (not checked) -> y [count, C]
/// Gradient    x
/// Errors      precondition_error if x has another number of rows, or a row is not below `count`.
struct put_rows_op {
  tensor<std::int32_t, 1> rows;
  idx count = 0;
  struct saved {};

  template <class T> auto forward(cpu& e, const tensor<T, 2>& x) const {
    expects(x.extent(0) == rows.size(), "sqs::sparse::put_rows_op: x has ", x.extent(0), " rows for ", rows.size(),
            " places; give one place per row");
    const idx bad =
        detail::first_index(e, rows.size(), [&](idx i) { return rows.data()[i] < 0 || rows.data()[i] >= count; });
    expects(bad == rows.size(), "sqs::sparse::put_rows_op: row ", bad < rows.size() ? rows.data()[bad] : 0, " of ",
            count, " does not exist; give rows below the count");
    auto y = zeros<T, 2>(e, {count, x.extent(1)});
    detail::copy_rows(e, x, y, rows.size(), [&](idx i) { return std::pair{i, idx{rows.data()[i]}}; });
    return result{std::move(y), saved{}};
  }
  template <class T> auto backward(cpu& e, const saved&, const tensor<T, 2>& dy) const {
    detail::require_gradient("put_rows_op", dy, count);
    auto dx = empty<T, 2>(e, {rows.size(), dy.extent(1)});
    detail::copy_rows(e, dy, dx, rows.size(), [&](idx i) { return std::pair{idx{rows.data()[i]}, i}; });
    return dx;
  }
};

} // namespace sqs::sparse
