// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// First stage of the rasterizer: every Gaussian seen by every camera as a 2D Gaussian (EWA splatting). First all pairs
/// are looked at with a bound on the extent, then those that may be seen are projected; both a register of Gaussians
/// at a time. The way back is project_backward.hpp.

#include <sqs/exec/parallel.hpp>
#include <sqs/splat/lanes.hpp>

#include <cstring>

namespace sqs::splat {

namespace detail {

/// A configuration without what the projection does not look at: those that differ only there share its code.
constexpr raster_config projection_config(raster_config c) {
  constexpr raster_config usual;
  c.cut_width = usual.cut_width, c.stop = usual.stop, c.rule = usual.rule;
  c.depth = usual.depth, c.absgrad = usual.absgrad, c.layout = usual.layout;
  return c;
}

template <class T> bool all_finite(const T* p, idx n) {
  // 0 x is 0 for a finite number and NaN otherwise; a sum could overflow on its own.
  using number = simd<T, native_lanes<T>>;
  number sums[4]{};
  idx i = 0;
  for (; i + 4 * number::size <= n; i += 4 * number::size) {
    for (int k = 0; k < 4; ++k) { sums[k] = fma(number::load(p + i + k * number::size), number(0), sums[k]); }
  }
  T sum = sum_of(sums[0] + sums[1] + (sums[2] + sums[3]));
  for (; i < n; ++i) { sum += p[i] * T(0); }
  return sum == T(0);
}

/// Gaussians are projected in chunks of this many: what a chunk needs stays in the second-level cache.
inline constexpr idx projection_chunk = 1024, candidate_room = projection_chunk + 16;

/// Finds which Gaussians of a chunk may be seen by which view.
template <class K, class T> struct candidate_search {
  static constexpr int n = native_lanes<T>;
  using number = simd<T, n>;
  const scene<T>& s;
  const std::array<view_constants<T>, camera_rig<T>::capacity>& views;
  idx view_count;
  std::int32_t* candidates; ///< [V, chunks, candidate_room]: the last one found is repeated to fill a register
  std::int32_t* found;      ///< [V, chunks]

  /// Returns how many Gaussians of the chunk are rejected for NaN or Inf.
  idx operator()(idx chunk, idx chunks) const {
    const idx g = s.count(), begin = chunk * projection_chunk, end = std::min(g, begin + projection_chunk);
    bool bad[projection_chunk]{};
    const idx rejected = find_bad(begin, end, bad);
    int count[camera_rig<T>::capacity]{};
    for (idx first = begin; first < end; first += n) {
      if (const idx later = first + projection_chunk; later + n <= g) { fetch_gaussians(s, later, n); }
      const int here = static_cast<int>(std::min<idx>(n, end - first));
      vec3<number> mean, scale;
      number opacity;
      if (here == n && rejected == 0) {
        mean = next_triples(s.means.data() + 3 * first), scale = next_triples(s.scales.data() + 3 * first);
        opacity = number::load(s.opacities.data() + first);
      } else {
        std::int32_t index[n];
        T opacities[n] = {}; // none: not drawn
        for (int l = 0; l < n; ++l) { index[l] = static_cast<std::int32_t>(first) + std::min(l, here - 1); }
        for (int l = 0; l < here; ++l) { opacities[l] = bad[index[l] - begin] ? T(0) : s.opacities.data()[first + l]; }
        mean = three_columns<3>(s.means, index), scale = three_columns<3>(s.scales, index);
        opacity = number::load(opacities);
      }
      const auto drawn = opacity >= number(K::alpha_cut);
      if (!any(drawn)) { continue; }
      const number variance = max(scale.x * scale.x, max(scale.y * scale.y, scale.z * scale.z));
      // Squared half extent in standard deviations, a little too large.
      const number reach = T(2 * ln2) * (log2_above(opacity) - K::log2_cut) + T(1e-3);
      for (idx v = 0; v < view_count; ++v) {
        const auto& view = views[static_cast<std::size_t>(v)];
        const auto hits = with_model(view.model, [&](auto model) {
          return drawn & may_be_seen<decltype(model)::value>(view, mean, variance, reach);
        });
        std::int32_t* const out = candidates + (v * chunks + chunk) * candidate_room;
        count[v] += store_indices(hits, static_cast<std::int32_t>(first), out + count[v]);
      }
    }
    for (idx v = 0; v < view_count; ++v) {
      const int c = count[v];
      std::int32_t* const end_of_list = candidates + (v * chunks + chunk) * candidate_room + c;
      if (c > 0) { std::fill_n(end_of_list, n, end_of_list[-1]); } // so that a register can always be filled
      found[v * chunks + chunk] = c;
    }
    return rejected;
  }

private:
  template <camera_model M>
  SQS_FLATTEN typename number::mask may_be_seen(const view_constants<T>& v, const vec3<number>& mean,
                                                const number& variance, const number& reach) const {
    const vec3<number> p = to_camera(v, mean);
    const auto point = project_point<M>(v.camera, p);
    // |row of J|^2 times the largest variance bounds the variance along an image axis.
    const number x2 = reach * fma(fused_dot(point.du, point.du), variance, number(K::low_pass));
    const number y2 = reach * fma(fused_dot(point.dv, point.dv), variance, number(K::low_pass));
    const number half_x(v.width / 2), half_y(v.height / 2);
    const number outside_x = max(abs(point.u - half_x) - half_x, number(0)),
                 outside_y = max(abs(point.v - half_y) - half_y, number(0));
    // Not "inside": where numbers overflowed, the exact projection decides and counts.
    const auto beyond = [](const number& distance, const number& most2) {
      return distance * distance > fma(most2, number(T(1.001)), number(T(0.01)));
    };
    return (p.z > number(K::near)) & (p.z < number(K::far)) & !beyond(outside_x, x2) & !beyond(outside_y, y2);
  }
  idx find_bad(idx begin, idx end, bool* bad) const {
    const idx columns = s.colours.extent(1), n_here = end - begin;
    const auto clean = [&](idx first, idx count) {
      return all_finite(s.means.data() + 3 * first, 3 * count) && all_finite(s.scales.data() + 3 * first, 3 * count) &&
             all_finite(s.rotations.data() + 4 * first, 4 * count) && all_finite(s.opacities.data() + first, count) &&
             all_finite(s.colours.data() + columns * first, columns * count);
    };
    if (clean(begin, n_here)) { return 0; }
    idx rejected = 0;
    for (idx i = 0; i < n_here; ++i) {
      bad[i] = !clean(begin + i, 1);
      rejected += bad[i] ? 1 : 0;
    }
    return rejected;
  }
};

/// What became of some candidates.
struct projected_counts {
  idx visible = 0, degenerate = 0;
};

/// Writes the first `count` of a register of records, whose fields come in the order of the struct.
template <class T>
SQS_INLINE void store_records(const simd<T, native_lanes<T>> (&first)[4], const simd<T, native_lanes<T>> (&second)[4],
                              const simd<T, native_lanes<T>> (&colour)[3], const std::int32_t* gaussian, int count,
                              projected_gaussian<T>* records) {
  constexpr int n = native_lanes<T>;
  const auto store = [&](projected_gaussian<T>* to) {
    store_fours<T, n>(first, [=](int l) { return &to[l].x; });
    store_fours<T, n>(second, [=](int l) { return &to[l].ly; });
    if constexpr (sizeof(T) == sizeof(std::int32_t)) { // the Gaussian's number is the fourth field of as many bits
      T bits[n];
      std::memcpy(bits, gaussian, sizeof(bits));
      store_fours<T, n>({colour[0], colour[1], colour[2], simd<T, n>::load(bits)}, [=](int l) { return to[l].colour; });
    } else {
      for (int l = 0; l < n; ++l) {
        for (int c = 0; c < 3; ++c) { to[l].colour[c] = colour[c][l]; }
        to[l].gaussian = gaussian[l];
      }
    }
  };
  if (count == n) {
    store(records);
  } else {
    projected_gaussian<T> part[n];
    store(part);
    std::copy_n(part, count, records);
  }
}

/// Projects candidates of one view into records and boxes, a register at a time.
template <class K, bool Pinhole, class T> struct candidate_projector {
  using lanes = gaussian_lanes<T>;
  using number = typename lanes::number;
  static constexpr int n = lanes::n;
  const scene<T>& s;
  const view_constants<T>& v;
  projected_gaussian<T>* records;
  tile_box* boxes;
  T *depths, *radii;

  SQS_FLATTEN projected_counts operator()(const std::int32_t* index, idx count) const {
    projected_counts sum;
    for (idx first = 0; first < count; first += n) {
      if (first + 3 * n <= count) { fetch<true>(records + first + 2 * n, n); }
      const lanes g(s, index + first);
      write(g, flatten(g), index + first, static_cast<int>(std::min<idx>(n, count - first)), first, sum);
    }
    return sum;
  }

private:
  struct flattened {
    number first[4], second[4], box[4], radius; ///< `first` and `second`: fields of the record
    typename number::mask visible, degenerate;
  };

  SQS_INLINE flattened flatten(const lanes& g) const {
    const flat_gaussian<K, Pinhole, number> f(v, g.mean, covariance_factor<K::convention>(g.scale, g.rotation));
    const footprint<K, Pinhole, number> at(f, g.opacity);
    number x0, x1, y0, y1;
    pixel_range(f.point.u, at.radius_x, number(v.width), x0, x1);
    pixel_range(f.point.v, at.radius_y, number(v.height), y0, y1);
    // A whole number is larger than x0 where it is larger than x0 without its fraction.
    const number past_x = truncated(x1), past_y = truncated(y1);
    const auto visible = at.drawn() & (x0 < past_x) & (y0 < past_y);
    // The tiles they lie in, to be written without their fraction: exact, as the numbers are small.
    const auto tile = [&](const number& pixels) { return select(visible, pixels / number(K::tile), number(0)); };
    const number up(K::tile - 1);
    return {{f.point.u, f.point.v, at.lx, at.k},
            {at.ly, at.log2_opacity, at.shear, f.p.z},
            {tile(x0), tile(y0), tile(past_x + up), tile(past_y + up)},
            at.radius,
            visible,
            at.wanted & !at.sound};
  }

  SQS_INLINE void write(const lanes& g, const flattened& f, const std::int32_t* index, int count, idx to,
                        projected_counts& sum) const {
    number colour[3]{};
    if constexpr (K::sh_degree >= 0) {
      const sh_lanes<K, T> sh(s, v, g.mean, index);
      for (int c = 0; c < 3; ++c) { colour[c] = sh.colour[c]; }
    } else if constexpr (K::channels >= 3) {
      const auto first = three_columns<K::columns>(s.colours, index);
      colour[0] = first.x, colour[1] = first.y, colour[2] = first.z;
    } else {
      for (int c = 0; c < K::channels; ++c) { colour[c] = number::gather(s.colours.data() + c, index, K::columns); }
    }
    store_records<T>(f.first, f.second, colour, index, count, records + to);
    if (count == n) {
      store_words_of_four<T, n>(f.box, &boxes[to].x0);
      f.second[3].store(depths + to);
    } else {
      tile_box some_boxes[n];
      T some_depths[n];
      store_words_of_four<T, n>(f.box, &some_boxes->x0);
      f.second[3].store(some_depths);
      std::copy_n(some_boxes, count, boxes + to);
      std::copy_n(some_depths, count, depths + to);
    }
    const unsigned usable = (1u << (count - 1) << 1) - 1, seen = bits_of(f.visible) & usable;
    sum.visible += std::popcount(seen), sum.degenerate += std::popcount(bits_of(f.degenerate) & usable);
    if (radii != nullptr) {
      for (unsigned left = seen; left != 0; left &= left - 1) {
        const int l = std::countr_zero(left);
        radii[index[l]] = f.radius[l];
      }
    }
  }
};

} // namespace detail

/// Projects G Gaussians into V views.
///
/// Shapes      see `scene`; the result has one record per (view, Gaussian) pair that may be seen. `radii` [V,G] is
///             filled if it has storage.
/// Execution   parallel over chunks of Gaussians; the same for any thread count. Memory from the executor's pool.
/// Cost        O(V G), about 40 flop for each pair and 200 more for those seen.
/// Source      Zwicker et al. 2002 (EWA); Kerbl et al. 2023.
template <raster_config Config, class T>
projection<T> project(cpu& e, const scene<T>& s, const camera_rig<T>& rig, tensor<T, 2> radii = {}) {
  using k = raster_constants<detail::projection_config(Config), T>;
  const idx g = s.count(), views = rig.size(), chunks = (g + detail::projection_chunk - 1) / detail::projection_chunk;
  const auto view = make_view_constants<Config>(rig);
  auto candidates = empty<std::int32_t, 1>(e, {views * chunks * detail::candidate_room});
  auto found = empty<std::int32_t, 2>(e, {views, chunks});
  const detail::candidate_search<k, T> search{s, view, views, candidates.data(), found.data()};
  projection<T> out;
  std::fill(radii.begin(), radii.end(), T(0));
  out.counts.rejected = reduce(
      e, chunks, 1, idx{0},
      [&](idx begin, idx end) {
        idx rejected = 0;
        for (idx c = begin; c < end; ++c) { rejected += search(c, chunks); }
        return rejected;
      },
      std::plus<>{});
  auto start = empty<idx, 1>(e, {views * chunks + 1});
  idx total = 0;
  for (idx v = 0; v < views; ++v) {
    out.first[static_cast<std::size_t>(v)] = total;
    for (idx c = 0; c < chunks; ++c) {
      start(v * chunks + c) = total;
      total += found(v, c);
    }
  }
  out.first[static_cast<std::size_t>(views)] = total;
  out.records = empty<projected_gaussian<T>, 1>(e, {total});
  out.boxes = empty<tile_box, 1>(e, {total});
  out.depths = empty<T, 1>(e, {total});
  const auto job = [&](idx v, idx c) {
    const auto& camera = view[static_cast<std::size_t>(v)];
    const std::int32_t* index = candidates.data() + (v * chunks + c) * detail::candidate_room;
    const idx first = start(v * chunks + c), count = found(v, c);
    T* const radius = radii ? radii.data() + v * g : nullptr;
    const auto project = [&](auto pinhole) {
      return detail::candidate_projector<k, decltype(pinhole)::value, T>{
          s, camera, out.records.data() + first, out.boxes.data() + first, out.depths.data() + first, radius}(index,
                                                                                                              count);
    };
    return camera.model == camera_model::pinhole ? project(std::true_type{}) : project(std::false_type{});
  };
  const auto sums = reduce(
      e, views * chunks, 1, detail::projected_counts{},
      [&](idx begin, idx end) {
        detail::projected_counts sum;
        for (idx j = begin; j < end; ++j) {
          const auto more = job(j % views, j / views); // a chunk for all views while it is in the cache
          sum.visible += more.visible, sum.degenerate += more.degenerate;
        }
        return sum;
      },
      [](auto a, const auto& b) {
        return detail::projected_counts{a.visible + b.visible, a.degenerate + b.degenerate};
      });
  out.counts.visible = sums.visible, out.counts.degenerate = sums.degenerate;
  return out;
}

} // namespace sqs::splat
