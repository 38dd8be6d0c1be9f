// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// First stage of the rasterizer: every Gaussian seen by every camera as a 2D Gaussian (EWA splatting). First all pairs
/// are looked at with a bound on the extent (look.hpp), then those that may be seen are projected; both a register of
/// Gaussians at a time. The way back is project_backward.hpp.

#include <sqs/exec/parallel.hpp>
#include <sqs/splat/look.hpp>

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
  static constexpr int n = native_lanes<T>;
  using number = simd<T, n>;
  const scene<T>& s;
  const view_constants<T>& v;
  projected_gaussian<T>* records;
  tile_box* boxes;
  T *depths, *radii;

  /// What `waiting` knows is not read again; asks `ahead` for as many Gaussians as it projects, but for none from `limit`
  /// on. `waiting` and `ahead` may be null.
  SQS_FLATTEN projected_counts operator()(const std::int32_t* index, idx count, const waiting_candidates<T>* waiting,
                                          gaussian_stream<T>* ahead, idx limit) const {
    projected_counts sum;
    for (idx first = 0; first < count; first += n) {
      if (ahead != nullptr) { ahead->next_before(limit); }
      if (first + 3 * n <= count) { fetch<true>(records + first + 2 * n, n); }
      const int here = static_cast<int>(std::min<idx>(n, count - first));
      write(flatten(read(index, first, waiting)), index + first, here, first, sum);
    }
    return sum;
  }

private:
  struct flattened {
    // Each by its own name: arrays of registers would live in memory.
    number x, y, lx, k, ly, log2_opacity, shear, depth; ///< fields of the record
    number x0, y0, x1, y1;                              ///< of the box
    number radius;
    typename number::mask visible, degenerate;
  };

  struct candidate {
    vec3<number> p, scale; ///< p: in the camera frame
    quaternion<number> rotation;
    number opacity;
  };

  SQS_INLINE candidate read(const std::int32_t* index, idx first, const waiting_candidates<T>* waiting) const {
    if (waiting == nullptr) {
      const gaussian_lanes<T> g(s, index + first);
      return {to_camera(v, g.mean), g.scale, g.rotation, g.opacity};
    }
    const auto rotation = read_rotations(s, [=](int l) { return index[first + l]; });
    return {waiting->p(first), waiting->scale(first), rotation, waiting->opacity(first)};
  }
  SQS_INLINE flattened flatten(const candidate& g) const {
    const flat_gaussian<K, Pinhole, number> f(v, g.p, covariance_factor<K::convention>(g.scale, g.rotation));
    const footprint<K, Pinhole, number> at(f, g.opacity);
    number x0, x1, y0, y1;
    pixel_range(f.u, at.radius_x, number(v.width), x0, x1);
    pixel_range(f.v, at.radius_y, number(v.height), y0, y1);
    // A whole number is larger than x0 where it is larger than x0 without its fraction.
    const number past_x = truncated(x1), past_y = truncated(y1);
    const auto visible = at.drawn() & (x0 < past_x) & (y0 < past_y);
    // The tiles they lie in, to be written without their fraction: exact, as the numbers are small.
    const auto tile = [&](const number& pixels) { return select(visible, pixels / number(K::tile), number(0)); };
    const number up(K::tile - 1);
    return {f.u,
            f.v,
            at.lx,
            at.k,
            at.ly,
            at.log2_opacity,
            at.shear,
            f.p.z,
            tile(x0),
            tile(y0),
            tile(past_x + up),
            tile(past_y + up),
            at.radius,
            visible,
            at.wanted & !at.sound};
  }

  SQS_INLINE void write(const flattened& f, const std::int32_t* index, int count, idx to, projected_counts& sum) const {
    number colour[3]{};
    if constexpr (K::sh_degree >= 0) {
      const sh_lanes<K, T> sh(s, v, three_columns<3>(s.means, index), index);
      for (int c = 0; c < 3; ++c) { colour[c] = sh.colour[c]; }
    } else if constexpr (K::channels >= 3) {
      const auto first = three_columns<K::columns>(s.colours, index);
      colour[0] = first.x, colour[1] = first.y, colour[2] = first.z;
    } else {
      for (int c = 0; c < K::channels; ++c) { colour[c] = number::gather(s.colours.data() + c, index, K::columns); }
    }
    store_records<T>({f.x, f.y, f.lx, f.k}, {f.ly, f.log2_opacity, f.shear, f.depth}, colour, index, count,
                     records + to);
    const number box[4] = {f.x0, f.y0, f.x1, f.y1};
    if (count == n) {
      store_words_of_four<T, n>(box, &boxes[to].x0);
      f.depth.store(depths + to);
    } else {
      tile_box some_boxes[n];
      T some_depths[n];
      store_words_of_four<T, n>(box, &some_boxes->x0);
      f.depth.store(some_depths);
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

/// Memory for the records of up to `count` pairs.
template <class T> projection<T> empty_projection(cpu& e, idx count) {
  projection<T> out;
  out.records = empty<projected_gaussian<T>, 1>(e, {count});
  out.boxes = empty<tile_box, 1>(e, {count});
  out.depths = empty<T, 1>(e, {count});
  return out;
}
/// Projects candidates of a view into the records from `to` on; the list has to be padded. `radii`: of the view, or null.
template <class K, class T> projected_counts project_candidates(const scene<T>& s, const view_constants<T>& v,
                                                                const std::int32_t* index, idx count,
                                                                projection<T>& out, idx to, T* radii,
                                                                const waiting_candidates<T>* waiting = nullptr,
                                                                gaussian_stream<T>* ahead = nullptr, idx limit = 0) {
  const auto project = [&](auto pinhole) {
    const candidate_projector<K, decltype(pinhole)::value, T> projector{
        s, v, out.records.data() + to, out.boxes.data() + to, out.depths.data() + to, radii};
    return projector(index, count, waiting, ahead, limit);
  };
  return v.model == camera_model::pinhole ? project(std::true_type{}) : project(std::false_type{});
}

/// One thread, one view: a few Gaussians are looked at and projected at once, while they are in the first-level cache.
/// Where the records of the next ones go is known only then, so there is room for all.
template <class K, class T>
projection<T> project_in_one_pass(cpu& e, const scene<T>& s, const view_constants<T>& view, T* radii) {
  const idx g = s.count();
  const candidate_search<K, T> search(s, &view, 1);
  auto out = empty_projection<T>(e, g);
  gaussian_stream<T> ahead(s, 0);
  waiting_candidates<T> waiting;
  idx total = 0;
  for (idx begin = 0, end; begin < g; begin = end) {
    end = std::min(g, begin + waiting.most);
    int found = 0;
    out.counts.rejected += search(begin, end, ahead, waiting.index + waiting.count, 0, &found, &waiting);
    waiting.count += found;
    if (end == g) { waiting.pad_last(); }
    const idx now = end == g ? waiting.count : waiting.count / native_lanes<T> * native_lanes<T>; // whole registers
    const auto more =
        project_candidates<K>(s, view, waiting.index, now, out, total, radii, &waiting, &ahead, end + waiting.most);
    out.counts.visible += more.visible, out.counts.degenerate += more.degenerate;
    total += now;
    waiting.drop(now);
  }
  out.first[1] = total;
  out.records = out.records.rows(0, total), out.boxes = out.boxes.rows(0, total);
  out.depths = out.depths.rows(0, total);
  return out;
}

/// Looks at all pairs, which says where the records of a chunk of Gaussians go, then projects.
template <class K, class T>
projection<T> project_in_two_passes(cpu& e, const scene<T>& s, const view_constants<T>* view, idx views, T* radii) {
  // What a chunk needs stays in the second-level cache for all views.
  constexpr idx n = native_lanes<T>, chunk = 1024, room = chunk + n;
  const idx g = s.count(), chunks = (g + chunk - 1) / chunk;
  auto candidates = empty<std::int32_t, 1>(e, {views * chunks * room});
  auto found = empty<std::int32_t, 2>(e, {views, chunks});
  const auto list = [&](idx v, idx c) { return candidates.data() + (v * chunks + c) * room; };
  const candidate_search<K, T> search(s, view, views);
  const idx rejected = reduce(
      e, chunks, 1, idx{0},
      [&](idx begin, idx end) {
        idx sum = 0;
        for (idx c = begin; c < end; ++c) {
          const idx first = c * chunk;
          gaussian_stream<T> ahead(s, first);
          int here[camera_rig<T>::capacity]{};
          sum += search(first, std::min(g, first + chunk), ahead, list(0, c), chunks * room, here);
          for (idx v = 0; v < views; ++v) {
            pad<T>(list(v, c), here[v]);
            found(v, c) = here[v];
          }
        }
        return sum;
      },
      std::plus<>{});
  auto start = empty<idx, 1>(e, {views * chunks + 1});
  std::array<idx, camera_rig<T>::capacity + 1> first{};
  idx total = 0;
  for (idx v = 0; v < views; ++v) {
    first[static_cast<std::size_t>(v)] = total;
    for (idx c = 0; c < chunks; ++c) {
      start(v * chunks + c) = total;
      total += found(v, c);
    }
  }
  first[static_cast<std::size_t>(views)] = total;
  auto out = empty_projection<T>(e, total);
  out.first = first;
  const auto sums = reduce(
      e, views * chunks, 1, projected_counts{},
      [&](idx begin, idx end) {
        projected_counts sum;
        for (idx j = begin; j < end; ++j) {
          const idx v = j % views, c = j / views; // a chunk for all views while it is in the cache
          const auto more = project_candidates<K>(s, view[v], list(v, c), found(v, c), out, start(v * chunks + c),
                                                  radii == nullptr ? nullptr : radii + v * g);
          sum.visible += more.visible, sum.degenerate += more.degenerate;
        }
        return sum;
      },
      [](auto a, const auto& b) {
        return projected_counts{a.visible + b.visible, a.degenerate + b.degenerate};
      });
  out.counts.rejected = rejected, out.counts.visible = sums.visible, out.counts.degenerate = sums.degenerate;
  return out;
}

} // namespace detail

/// Projects G Gaussians into V views.
///
/// Shapes      see `scene`; the result has one record per (view, Gaussian) pair that may be seen. `radii` [V,G] is
///             filled if it has storage.
/// Execution   parallel over chunks of Gaussians; the same for any thread count. Memory from the executor's pool; for
///             one view on one thread the records have room for all G.
/// Cost        O(V G), about 30 flop for each pair and 200 more for those seen.
/// Source      Zwicker et al. 2002 (EWA); Kerbl et al. 2023.
template <raster_config Config, class T>
projection<T> project(cpu& e, const scene<T>& s, const camera_rig<T>& rig, tensor<T, 2> radii = {}) {
  using k = raster_constants<detail::projection_config(Config), T>;
  const auto view = make_view_constants<Config>(rig);
  std::fill(radii.begin(), radii.end(), T(0));
  T* const radius = radii ? radii.data() : nullptr;
  if (rig.size() == 1 && e.thread_count() == 1) { return detail::project_in_one_pass<k>(e, s, view[0], radius); }
  return detail::project_in_two_passes<k>(e, s, view.data(), rig.size(), radius);
}

} // namespace sqs::splat
