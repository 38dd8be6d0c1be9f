// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Third stage on a device: a block blends a tile, a thread a pixel, and a warp, which has 8 x 4 pixels, passes over what
/// does not reach them. The maths is that of blend.hpp.

#include <sqs/splat/cuda/project_kernels.hpp>

namespace sqs::splat::detail {

/// The pixel of a thread, and the rectangle of its warp.
template <int Tile> struct thread_pixel {
  static constexpr int threads = Tile * Tile, warps = threads / warp_size;
  static constexpr int width = 8, height = 4; ///< of a warp's pixels
  int warp_x, warp_y, x, y;
  idx pixel = -1; ///< among those of all views; -1 outside the image
  SQS_DEVICE thread_pixel(const tile_place& at, const tile_grid& grid, int thread) {
    const int warp = thread / warp_size, lane = thread % warp_size;
    warp_x = at.x0 + warp % (Tile / width) * width, warp_y = at.y0 + warp / (Tile / width) * height;
    x = warp_x + lane % width, y = warp_y + lane / width;
    if (x - at.x0 < at.width && y - at.y0 < at.height) {
      pixel = grid[at.view].first_pixel + idx{y} * grid[at.view].width + x;
    }
  }
};

/// The lists of a band of tiles.
template <class T> struct list_pointers {
  const projected_gaussian<T>* records;
  const idx* begin;           ///< [all tiles + 1]
  const std::int32_t* record; ///< of each entry
  idx first_tile;             ///< of the band: the first block's
  template <team Team> SQS_DEVICE idx tile(const Team& t) const { return first_tile + t.block(); }
};
/// Masks; null for none.
struct mask_pointers {
  const std::uint8_t *pixels, *tiles;
};

/// Channels beyond the first three, and how many of them go along with the colours. The others go in passes of their own,
/// for which the weights are computed again: their sums would not fit a thread's registers.
template <class K> struct feature_plan {
  static constexpr int near = K::channels < 3 ? K::channels : 3, features = K::channels - near;
  static constexpr int room = 32, along = features < room ? features : room;
  /// Where the features of a Gaussian begin in its colours.
  static constexpr int first_column = K::sh_degree < 0 ? near : K::sh_columns;
};

/// Features from `First` on, `Count` of them: what one pass over the lists takes. The pass that leads also has all that is
/// not a feature.
template <bool Lead, int First, int Count> struct feature_pass {
  static constexpr bool lead = Lead;
  static constexpr int first = First, count = Count;
};
/// Calls f(feature_pass) for every pass, the leading one first.
template <class K, int First = 0, class F> void each_pass(F&& f) {
  constexpr int left = feature_plan<K>::features - First,
                count = left < feature_plan<K>::room ? left : feature_plan<K>::room;
  f(feature_pass<First == 0, First, count>{});
  if constexpr (count < left) { each_pass<K, First + count>(f); }
}

/// A pixel while Gaussians pass.
template <class K, class T> struct pixel_state {
  T t, left = T(1); ///< T as the recursion has it, and as it was when the pixel stopped
  SQS_DEVICE bool open() const { return t > K::stop; }
};

/// alpha of a record at a pixel, and d(alpha)/d(log of the uncapped value) where the cap does not act; both 0 where it
/// is skipped.
template <class K, class T>
SQS_DEVICE T alpha_of(const projected_gaussian<T>& r, const T& dx, const T& dy, T* slope = nullptr) {
  using std::exp2;
  using std::max;
  using std::min;
  const T across = r.lx * (dx + r.k * dy), down = r.ly * dy;
  const T q = r.log2_opacity - down * down - across * across;
  if (!(q >= K::log2_cut)) { return T(0); }
  const T value = exp2(q);
  if constexpr (K::cut_width == T(0)) {
    const T alpha = min(value, T(K::alpha_max));
    if (slope != nullptr) { *slope = alpha; }
    return alpha;
  } else { // faded in by 6 u^5 - 15 u^4 + 10 u^3
    const T u = max(T(0), min(T(1), (value - K::alpha_cut) / K::cut_width)), v = u * (T(1) - u);
    const T ramp = u * u * u * (u * (T(6) * u - T(15)) + T(10)), ramp_slope = T(30) / K::cut_width * (v * v);
    if (slope != nullptr) { *slope = value * (ramp + value * ramp_slope); }
    return min(value * ramp, T(K::alpha_max));
  }
}

/// One step of the recursion: the weight, 0 once the pixel has stopped.
template <class K, class T> SQS_DEVICE T blend_one(pixel_state<K, T>& s, const T& alpha) {
  const T next = s.t - s.t * alpha;
  const bool open = (K::exclusive ? next : s.t) > K::stop;
  const T weight = open ? alpha * s.t : T(0);
  if (open) { s.left = next; }
  s.t = next;
  return weight;
}

/// Calls pass(record) for those of a batch that may reach the warp's pixels, in order, until none of these is open. Before
/// every 32 of them calls before(number), also when the warp is finished.
///
/// Execution   All threads of the block must call it.
template <class K, class T, int Tile, team Team, class Before, class Pass>
SQS_DEVICE void walk_batch(Team& t, const projected_gaussian<T>* records, int count, const thread_pixel<Tile>& here,
                           const pixel_state<K, T>& pixel, Before&& before, Pass&& pass) {
  const int lane = t.thread() % warp_size;
  for (int base = 0; base < count; base += warp_size) {
    before(base);
    if (t.ballot(pixel.open()) == 0) { continue; }
    const int mine = base + lane;
    unsigned left =
        t.ballot(mine < count && reaches<K>(records[mine], here.warp_x, here.warp_y, here.width, here.height));
    for (; left != 0; left &= left - 1) { pass(records[base + lowest_bit(left)]); }
  }
}

/// Walks a tile's list, nearest first: calls pass(record) for what may reach the warp's pixels, until none of the block's
/// is open.
///
/// Execution   All threads of the block must call it.
template <class K, class T, int Tile, team Team, class Pass>
SQS_DEVICE void walk_list(Team& t, const list_pointers<T>& lists, idx begin, idx end, const thread_pixel<Tile>& here,
                          const pixel_state<K, T>& pixel, Pass&& pass) {
  constexpr int batch = 128;
  auto* const records = shared_array<struct walked_records, projected_gaussian<T>, batch>(t);
  for (idx next = begin; next < end; next += batch) {
    if (!t.sync_any(pixel.open())) { return; } // after it, nobody reads the last batch any more
    const int count = static_cast<int>(end - next < batch ? end - next : batch);
    for (int i = t.thread(); i < count; i += t.size()) { records[i] = lists.records[lists.record[next + i]]; }
    t.sync();
    walk_batch(
        t, records, count, here, pixel, [](int) {}, pass);
  }
}

/// Blends a tile. `First` and `Count`: which features; the pass that leads also has colours, depths and transmittance.
template <class K, class T, bool Lead, int First, int Count> struct blend_kernel {
  static constexpr const char* name = "sqs::splat::blend";
  using place = thread_pixel<K::tile>;
  using plan = feature_plan<K>;
  static constexpr int most_threads = place::threads;
  static constexpr bool with_z = K::accumulated || K::expected;

  tile_grid grid;
  list_pointers<T> lists;
  mask_pointers masks;
  const T *colours, *background;
  T *image, *depth, *transmittance;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx tile = lists.tile(t);
    const tile_place at = place_of<K::tile>(grid, tile);
    const place here(at, grid, t.thread());
    const bool drawn = here.pixel >= 0 && (masks.pixels == nullptr || masks.pixels[here.pixel] != 0);
    sums now;
    now.pixel.t = drawn ? T(1) : T(0);
    const idx begin = lists.begin[tile],
              end = masks.tiles != nullptr && masks.tiles[tile] == 0 ? begin : lists.begin[tile + 1];
    walk_list(t, lists, begin, end, here, now.pixel, [&](const projected_gaussian<T>& r) { add(r, here, now); });
    if (here.pixel >= 0) { store(here.pixel, background + at.view * K::channels, now); }
  }

private:
  struct sums {
    pixel_state<K, T> pixel;
    T near[Lead ? plan::near : 1]{}, feature[Count > 0 ? Count : 1]{};
    T z{}, inverse_z{}, median{};
  };

  SQS_DEVICE void add(const projected_gaussian<T>& r, const place& here, sums& now) const {
    const T alpha = alpha_of<K>(r, T(here.x) + T(0.5) - r.x, T(here.y) + T(0.5) - r.y);
    if (alpha == T(0)) { return; }
    const T before = now.pixel.t, w = blend_one<K>(now.pixel, alpha);
    if (w == T(0)) { return; }
    if constexpr (Lead) {
      for (int c = 0; c < plan::near; ++c) { now.near[c] += w * r.colour[c]; }
      if constexpr (with_z) { now.z += w * r.depth; }
      if constexpr (K::inverse) { now.inverse_z += w / r.depth; }
      if constexpr (K::median) {
        if (before >= T(0.5) && now.pixel.t < T(0.5)) { now.median = r.depth; }
      }
    }
    if constexpr (Count > 0) {
      const T* const from = colours + idx{r.gaussian} * K::columns + plan::first_column + First;
      SQS_UNROLL
      for (int c = 0; c < Count; ++c) { now.feature[c] += w * from[c]; }
    }
    (void)before;
  }
  SQS_DEVICE void store(idx pixel, const T* behind, const sums& now) const {
    const T left = now.pixel.left;
    T* const out = image + pixel * K::channels;
    if constexpr (Lead) {
      for (int c = 0; c < plan::near; ++c) { out[c] = now.near[c] + left * behind[c]; }
      T* to = depth + pixel * K::depths;
      if constexpr (K::accumulated) { *to++ = now.z; }
      if constexpr (K::expected) { *to++ = T(1) - left > T(0) ? now.z / (T(1) - left) : T(0); }
      if constexpr (K::inverse) { *to++ = now.inverse_z; }
      if constexpr (K::median) { *to++ = now.median; }
      (void)to;
      transmittance[pixel] = left;
    }
    for (int c = 0; c < Count; ++c) {
      out[plan::near + First + c] = now.feature[c] + left * behind[plan::near + First + c];
    }
  }
};

} // namespace sqs::splat::detail
