// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The other way back through the blend: a thread has a Gaussian instead of a pixel. The sums are those of
/// blend_backward_kernels.hpp up to rounding.

#include <sqs/splat/cuda/blend_backward_kernels.hpp>

namespace sqs::splat::detail {

/// Replays a tile in batches, each in two steps. First every thread replays the batch for its pixel and notes T and what
/// lies behind before every 32 entries. Then a warp takes 32 entries, a lane each, and the pixels of the tile pass from
/// lane to lane with their T and what lies behind, which the first lane has from the notes. No sums over lanes; all
/// pixels of the tile are looked at. The notes stay in the block's memory, so nothing is asked of the forward pass.
///
/// Source      Mallick et al. 2024 (Taming 3DGS) for the idea; there the forward pass keeps the notes, in memory.
template <raster_config Config, class T, bool Lead, int First, int Count> struct blend_backward_by_gaussian_kernel {
  static constexpr const char* name = "sqs::splat::blend_backward (by Gaussian)";
  using K = raster_constants<Config, T>;
  using place = thread_pixel<K::tile>;
  using plan = feature_plan<K>;
  using moments = moment_plan<Config>;
  using part = row_part<Config, Lead, First, Count>;
  static constexpr int first_sum = part::first, sums = part::count, most_threads = place::threads;
  static constexpr int pixels = place::threads;
  /// Gradients of a pixel that its passes read: of the channels, of z, of 1/z and of the median's z.
  static constexpr int z_at = plan::near, inverse_at = z_at + (K::accumulated || K::expected ? 1 : 0),
                       median_at = inverse_at + (K::inverse ? 1 : 0),
                       numbers = Lead ? median_at + (K::median ? 1 : 0) : 0;
  static constexpr int notes = Lead ? 2 : 1; ///< T, and what lies behind
  /// Warps that take entries: as many as the block's memory has room for.
  static constexpr int room = 40 * 1024, staged_bytes = numbers * pixels * int{sizeof(T)};
  static constexpr bool staged = staged_bytes <= room / 2; ///< else the gradients are read where they came in
  static constexpr int takers_for(int n) {
    constexpr int each = notes * pixels * int{sizeof(T)} + warp_size * int{sizeof(projected_gaussian<T>)};
    return n > 1 && (staged ? staged_bytes : 0) + n * each > room ? takers_for(n / 2) : n;
  }
  static constexpr int takers = takers_for(place::warps), batch = takers * warp_size;

  tile_grid grid;
  list_pointers<T> lists;
  mask_pointers masks;
  const T* colours;
  gradient_pointers<T> d;
  entry_sums<moments::count, T> out;
  tile_gradient_pointers<K, T> tiles; ///< set by the pass that leads

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx tile = lists.tile(t);
    const tile_place at = place_of<K::tile>(grid, tile);
    const place here(at, grid, t.thread());
    auto* const stage = shared_array<struct gaussian_pixels, T, (staged && Lead ? numbers * pixels : 1)>(t);
    auto* const note = shared_array<struct gaussian_notes, T, takers * notes * pixels>(t);
    auto* const records = shared_array<struct gaussian_records, projected_gaussian<T>, batch>(t);
    pixel_gradient<K, T, Lead ? plan::along : 0> now;
    const bool drawn = here.pixel >= 0 && (masks.pixels == nullptr || masks.pixels[here.pixel] != 0);
    now.pixel.t = drawn ? T(1) : T(0);
    if constexpr (Lead) {
      const T left = here.pixel >= 0 ? now.read(d, here.pixel) : T(0);
      tiles.set(t, tile, now, left);
      if constexpr (staged) { put(now, stage + t.thread()); }
    }
    const idx begin = lists.begin[tile], end = lists.begin[tile + 1];
    const bool masked = masks.tiles != nullptr && masks.tiles[tile] == 0;
    idx next = begin;
    for (; next < end && !masked; next += batch) {
      if (!t.sync_any(now.pixel.open())) { break; } // after it, nobody reads the last batch any more
      const int count = static_cast<int>(end - next < batch ? end - next : batch);
      for (int i = t.thread(); i < count; i += t.size()) { records[i] = lists.records[lists.record[next + i]]; }
      t.sync();
      walk_batch(
          t, records, count, here, now.pixel,
          [&](int first) {
            T* const to = note + first / warp_size * (notes * pixels) + t.thread();
            to[0] = now.pixel.t;
            if constexpr (Lead) { to[pixels] = now.rest; }
          },
          [&](const projected_gaussian<T>& r) { replay(r, here, now); });
      t.sync();
      const int first = t.thread() / warp_size * warp_size; // of the warp's entries
      if (first < count) { take(t, at, stage, note + first / warp_size * (notes * pixels), records, next, count); }
    }
    for (idx p = next + t.thread(); p < end; p += t.size()) { // nobody looked at them
      for (int i = 0; i < sums; ++i) { out.put(t, p, first_sum + i, T(0)); }
    }
  }

private:
  SQS_DEVICE const T* features_of(const projected_gaussian<T>& r) const {
    return colours + idx{r.gaussian} * K::columns + plan::first_column;
  }
  template <int Along>
  SQS_DEVICE void replay(const projected_gaussian<T>& r, const place& here, pixel_gradient<K, T, Along>& now) const {
    const T alpha = alpha_of<K>(r, T(here.x) + T(0.5) - r.x, T(here.y) + T(0.5) - r.y);
    const T w = alpha == T(0) ? T(0) : blend_one<K>(now.pixel, alpha);
    if constexpr (Lead) {
      if (w != T(0)) { now.rest -= w * now.toward(r, features_of(r)); }
    }
  }

  /// A lane takes its entry through all pixels of the tile and leaves its sums.
  template <team Team> SQS_DEVICE void take(Team& t, const tile_place& at, const T* stage, const T* note,
                                            const projected_gaussian<T>* records, idx next, int count) const {
    const int lane = t.thread() % warp_size;
    const bool real = t.thread() < count;
    const projected_gaussian<T> r = records[real ? t.thread() : count - 1];
    T value[sums]{};
    T handed_t{}, handed_rest{};
    for (int step = 0; step < pixels + warp_size - 1; ++step) {
      const T from_t = t.shfl_up(handed_t, 1);
      T from_rest{};
      if constexpr (Lead) { from_rest = t.shfl_up(handed_rest, 1); }
      const int p = step - lane;
      if (p < 0 || p >= pixels) { continue; }
      pixel_gradient<K, T, 0> now;
      now.pixel.t = lane == 0 ? note[p] : from_t;
      const place of_pixel(at, grid, p);
      if constexpr (Lead) {
        get(now, stage + p, of_pixel.pixel);
        now.rest = lane == 0 ? note[pixels + p] : from_rest;
      }
      if (real) { pass(r, of_pixel, now, value); }
      handed_t = now.pixel.t, handed_rest = now.rest;
    }
    for (int i = 0; real && i < sums; ++i) { out.put(t, next + t.thread(), first_sum + i, value[i]); }
  }
  SQS_DEVICE void pass(const projected_gaussian<T>& r, const place& of_pixel, pixel_gradient<K, T, 0>& now,
                       T (&value)[sums]) const {
    const T dx = T(of_pixel.x) + T(0.5) - r.x, dy = T(of_pixel.y) + T(0.5) - r.y;
    if constexpr (plan::features > 0) {
      now.image = of_pixel.pixel >= 0 ? d.image + of_pixel.pixel * K::channels : nullptr; // no weight where null
    }
    if constexpr (Lead) {
      (void)add_pair<Config, Count>(r, dx, dy, features_of(r), now, value);
    } else {
      const T alpha = alpha_of<K>(r, dx, dy);
      const T w = alpha == T(0) ? T(0) : blend_one<K>(now.pixel, alpha);
      if (w == T(0)) { return; }
      for (int c = 0; c < Count; ++c) { value[c] += w * now.image[plan::near + First + c]; }
    }
  }

  template <int Along> SQS_DEVICE static void put(const pixel_gradient<K, T, Along>& now, T* to) {
    for (int c = 0; c < plan::near; ++c) { to[c * pixels] = now.near[c]; }
    if constexpr (K::accumulated || K::expected) { to[z_at * pixels] = now.z; }
    if constexpr (K::inverse) { to[inverse_at * pixels] = now.inverse_z; }
    if constexpr (K::median) { to[median_at * pixels] = now.median; }
  }
  SQS_DEVICE void get(pixel_gradient<K, T, 0>& now, const T* from, idx pixel) const {
    if constexpr (staged) {
      for (int c = 0; c < plan::near; ++c) { now.near[c] = from[c * pixels]; }
      if constexpr (K::accumulated || K::expected) { now.z = from[z_at * pixels]; }
      if constexpr (K::inverse) { now.inverse_z = from[inverse_at * pixels]; }
      if constexpr (K::median) { now.median = from[median_at * pixels]; }
    } else if (pixel >= 0) {
      (void)now.read(d, pixel);
    }
  }
};

} // namespace sqs::splat::detail
