// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Backward pass of the blend on a device: front to back with one number per pixel, as in blend_backward.hpp. Every entry
/// of a tile's list gets sums of its own, and those of a pair are added in the order they were laid down: no atomics, the
/// same bits in every run.

#include <sqs/splat/cuda/blend_kernels.hpp>

namespace sqs::splat::detail {

/// What came in.
template <class T> struct gradient_pointers {
  const T *image, *depth, *transmittance;             ///< dL/d(output)
  const T *out_image, *out_depth, *out_transmittance; ///< and the outputs
};

/// The gradients of a pixel, and its state while Gaussians pass.
template <class K, class T> struct pixel_gradient {
  using plan = feature_plan<K>;
  pixel_state<K, T> pixel;
  T rest{};             ///< S: what lies behind contributes
  T near[plan::near]{}; ///< dL/d(channels)
  T feature[plan::along > 0 ? plan::along : 1]{};
  T z{}, inverse_z{}, median{};
  const T* image = nullptr; ///< dL/d(image) of the pixel, for channels without room here

  /// Reads the gradients of a pixel; returns its final T.
  SQS_DEVICE T read(const gradient_pointers<T>& d, idx at) {
    const T left = d.out_transmittance[at];
    rest = left * d.transmittance[at];
    image = d.image + at * K::channels;
    const T* const out = d.out_image + at * K::channels;
    for (int c = 0; c < K::channels; ++c) { rest += image[c] * out[c]; }
    for (int c = 0; c < plan::near; ++c) { near[c] = image[c]; }
    for (int c = 0; c < plan::along; ++c) { feature[c] = image[plan::near + c]; }
    const T *d_depth = d.depth + at * K::depths, *depth = d.out_depth + at * K::depths;
    if constexpr (K::accumulated) {
      z += *d_depth;
      rest += *d_depth++ * *depth++;
    }
    if constexpr (K::expected) { // z / (1 - T) depends on both, and T is everyone's
      const T opacity = T(1) - left;
      if (opacity > T(0)) {
        z += *d_depth / opacity;
        rest += *d_depth * *depth * (T(1) + left / opacity);
      }
      ++d_depth, ++depth;
    }
    if constexpr (K::inverse) {
      inverse_z = *d_depth;
      rest += *d_depth++ * *depth++;
    }
    if constexpr (K::median) { median = *d_depth; }
    (void)d_depth, (void)depth;
    return left;
  }
};

/// Passes a record over a pixel at (dx, dy) from its centre: adds what the pixel has for the sums of `moment_plan`, but
/// for channels from the pixel's room on. `features` are those of the Gaussian. Whether there is anything to add.
template <raster_config Config, class K, class T, int N>
SQS_DEVICE bool add_pair(const projected_gaussian<T>& r, const T& dx, const T& dy, const T* features,
                         pixel_gradient<K, T>& now, T (&value)[N]) {
  using plan = feature_plan<K>;
  using moments = moment_plan<Config>;
  T slope{};
  const T alpha = alpha_of<K>(r, dx, dy, &slope);
  if (alpha == T(0)) { return false; }
  const T before = now.pixel.t, w = blend_one<K>(now.pixel, alpha);
  if (w == T(0)) { return false; }
  T toward = now.near[0] * r.colour[0];
  for (int c = 1; c < plan::near; ++c) { toward += now.near[c] * r.colour[c]; }
  if constexpr (K::accumulated || K::expected) { toward += now.z * r.depth; }
  if constexpr (K::inverse) { toward += now.inverse_z / r.depth; }
  for (int c = 0; c < plan::along; ++c) { toward += now.feature[c] * features[c]; }
  for (int c = plan::along; c < plan::features; ++c) { toward += now.image[plan::near + c] * features[c]; }
  now.rest -= w * toward;
  const T d_alpha = before * toward - now.rest / (T(1) - alpha);
  const T g = alpha < K::alpha_max ? slope * d_alpha : T(0);
  value[0] += g, value[1] += g * dx, value[2] += g * dy;
  value[3] += g * dx * dx, value[4] += g * dx * dy, value[5] += g * dy * dy;
  if constexpr (K::absgrad) {
    using std::abs;
    const T a = r.a(), b = r.b(), c = r.c();
    value[moments::absgrad] += abs(g * (a * dx + b * dy)), value[moments::absgrad + 1] += abs(g * (b * dx + c * dy));
  }
  if constexpr (K::depth != 0) {
    T z = w * now.z;
    if constexpr (K::inverse) { z -= w * now.inverse_z / (r.depth * r.depth); }
    if constexpr (K::median) { z += before >= T(0.5) && now.pixel.t < T(0.5) ? now.median : T(0); }
    value[moments::depth] += z;
  }
  for (int c = 0; c < plan::near; ++c) { value[moments::colours + c] += w * now.near[c]; }
  for (int c = 0; c < plan::along; ++c) { value[moments::colours + plan::near + c] += w * now.feature[c]; }
  return true;
}

/// The background's gradient of a tile, and whether NaN or Inf came in.
template <class K, class T> struct tile_gradient_pointers {
  T* background;          ///< [tiles, C]
  std::int32_t* infinite; ///< [tiles]

  template <team Team> SQS_DEVICE void set(Team& t, idx tile, const pixel_gradient<K, T>& now, const T& left) const {
    const T sum = now.rest + now.median;
    const bool bad = t.sync_any(!(sum - sum == T(0)));
    if (t.thread() == 0) { infinite[tile] = bad ? 1 : 0; }
    for (int c = 0; c < K::channels; ++c) {
      const T of_tile = block_sum(t, now.image != nullptr ? left * now.image[c] : T(0));
      if (t.thread() == 0) { background[tile * K::channels + c] = of_tile; }
    }
  }
};

/// Where the sums of the lists' entries go: each to a row of its own, or all of a pair to one.
template <int Width, class T> struct entry_sums {
  T* rows;                 ///< [capacity, Width], or [V G, Width] of zeros
  const std::int32_t* row; ///< of each entry
  bool atomic;
  template <team Team> SQS_DEVICE void put(Team& t, idx entry, int i, T sum) const {
    T* const to = rows + idx{row[entry]} * Width + i;
    if (!atomic) {
      *to = sum;
    } else if (sum != T(0)) {
      t.add(to, sum);
    }
  }
};

/// Replays a tile. The pass that leads has all but the sums of features from `First` on; others only have those of
/// their features, for which they compute the weights again.
template <raster_config Config, class T, bool Lead, int First, int Count> struct blend_backward_kernel {
  static constexpr const char* name = "sqs::splat::blend_backward";
  using K = raster_constants<Config, T>;
  using place = thread_pixel<K::tile>;
  using plan = feature_plan<K>;
  using moments = moment_plan<Config>;
  /// Sums of an entry: a part of the row of `moment_plan`.
  static constexpr int first_sum = Lead ? 0 : moments::colours + plan::near + First;
  static constexpr int sums = Lead ? moments::colours + plan::near + Count : Count;
  /// Entries at once: as many as a warp looks at, if the sums of all warps have room.
  static constexpr int batch_for(int n) {
    return n > 1 && place::warps * n * sums * int{sizeof(T)} > 24 * 1024 ? batch_for(n / 2) : n;
  }
  static constexpr int batch = batch_for(warp_size);

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
    pixel_gradient<K, T> now;
    const bool drawn = here.pixel >= 0 && (masks.pixels == nullptr || masks.pixels[here.pixel] != 0);
    now.pixel.t = drawn ? T(1) : T(0);
    if constexpr (Lead) {
      const T left = here.pixel >= 0 ? now.read(d, here.pixel) : T(0);
      tiles.set(t, tile, now, left);
    }
    auto* const records = shared_array<struct backward_records, projected_gaussian<T>, batch>(t);
    auto* const partial = shared_array<struct backward_sums, T, place::warps * batch * sums>(t);
    auto* const reached = shared_array<struct backward_reached, unsigned, place::warps>(t);
    const idx begin = lists.begin[tile], end = lists.begin[tile + 1];
    idx next = begin;
    const bool masked = masks.tiles != nullptr && masks.tiles[tile] == 0;
    for (; next < end && !masked; next += batch) {
      if (!t.sync_any(now.pixel.open())) { break; }
      const int count = static_cast<int>(end - next < batch ? end - next : batch);
      for (int i = t.thread(); i < count; i += t.size()) { records[i] = lists.records[lists.record[next + i]]; }
      t.sync();
      replay(t, here, records, count, now, partial, reached);
      t.sync();
      add_warps(t, next, count, partial, reached);
    }
    for (idx p = next + t.thread(); p < end; p += t.size()) { // nobody looked at them
      for (int i = 0; i < sums; ++i) { out.put(t, p, first_sum + i, T(0)); }
    }
  }

private:
  /// Each warp replays the batch for its pixels and leaves the sums of the entries it reached.
  template <team Team> SQS_DEVICE void replay(Team& t, const place& here, const projected_gaussian<T>* records,
                                              int count, pixel_gradient<K, T>& now, T* partial,
                                              unsigned* reached) const {
    const int lane = t.thread() % warp_size, warp = t.thread() / warp_size;
    unsigned with_sums = 0;
    if (t.ballot(now.pixel.open()) != 0) {
      unsigned left =
          t.ballot(lane < count && reaches<K>(records[lane], here.warp_x, here.warp_y, here.width, here.height));
      for (; left != 0; left &= left - 1) {
        const int e = lowest_bit(left);
        T value[padded]{};
        const bool any = values_of(records[e], here, now, value);
        if (t.ballot(any) == 0) { continue; }
        with_sums |= 1u << e;
        store_sums(t, value, partial + (warp * batch + e) * sums);
      }
    }
    if (lane == 0) { reached[warp] = with_sums; }
  }
  static constexpr int parts = (sums + warp_size - 1) / warp_size;
  static constexpr int width_of_part = parts > 1 || sums > 16 ? 32 : sums > 8 ? 16 : sums > 4 ? 8 : 4;
  static constexpr int padded = parts * width_of_part;

  template <team Team> SQS_DEVICE static void store_sums(Team& t, const T (&value)[padded], T* to) {
    for (int p = 0; p < parts; ++p) {
      T part[width_of_part];
      for (int i = 0; i < width_of_part; ++i) { part[i] = value[p * width_of_part + i]; }
      int place_in_part;
      const T sum = warp_sums(t, part, place_in_part);
      const int i = p * width_of_part + place_in_part;
      if (place_in_part >= 0 && i < sums) { to[i] = sum; }
    }
  }

  /// What a pixel adds to the sums of a record; whether it adds anything.
  SQS_DEVICE bool values_of(const projected_gaussian<T>& r, const place& here, pixel_gradient<K, T>& now,
                            T (&value)[padded]) const {
    const T dx = T(here.x) + T(0.5) - r.x, dy = T(here.y) + T(0.5) - r.y;
    if constexpr (Lead) {
      return add_pair<Config>(r, dx, dy, colours + idx{r.gaussian} * K::columns + plan::first_column, now, value);
    } else {
      const T alpha = alpha_of<K>(r, dx, dy);
      const T w = alpha == T(0) ? T(0) : blend_one<K>(now.pixel, alpha);
      if (w == T(0)) { return false; }
      for (int c = 0; c < Count; ++c) { value[c] = w * d.image[here.pixel * K::channels + plan::near + First + c]; }
      return true;
    }
  }

  /// Adds the sums of the warps, in their order, into the entries' slots.
  template <team Team>
  SQS_DEVICE void add_warps(Team& t, idx next, int count, const T* partial, const unsigned* reached) const {
    for (int i = t.thread(); i < count * sums; i += t.size()) {
      const int e = i / sums, s = i % sums;
      T sum{};
      for (int warp = 0; warp < place::warps; ++warp) {
        if ((reached[warp] >> e & 1u) != 0) { sum += partial[(warp * batch + e) * sums + s]; }
      }
      out.put(t, next + e, first_sum + s, sum);
    }
  }
};

/// The same Gaussian by Gaussian: a lane takes an entry and the pixels of the tile pass from lane to lane, each with its T
/// and what lies behind, which the first lane has from a checkpoint. No sums over lanes; all pixels of the tile are
/// looked at.
template <raster_config Config, class T> struct blend_backward_by_gaussian_kernel {
  static constexpr const char* name = "sqs::splat::blend_backward (by Gaussian)";
  using K = raster_constants<Config, T>;
  using place = thread_pixel<K::tile>;
  using keeps = checkpoint_plan<K>;
  using moments = moment_plan<Config>;
  /// Numbers of a pixel: dL/d(channels), of z, 1/z and the median's z, and S at the beginning.
  static constexpr int numbers = feature_plan<K>::near + 4, pixels = keeps::pixels;
  static_assert(keeps::possible);

  tile_grid grid;
  list_pointers<T> lists;
  mask_pointers masks;
  gradient_pointers<T> d;
  entry_sums<moments::count, T> out;
  tile_gradient_pointers<K, T> tiles;
  const T* checkpoints;
  const std::int32_t* seen;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx tile = lists.tile(t);
    const tile_place at = place_of<K::tile>(grid, tile);
    // Not `here`: pixels lie in the order of the forward pass's threads.
    const place own(at, grid, t.thread());
    auto* const shared = shared_array<struct gaussian_pixels, T, numbers * pixels>(t);
    {
      pixel_gradient<K, T> now;
      const T left = own.pixel >= 0 ? now.read(d, own.pixel) : T(0);
      tiles.set(t, tile, now, left);
      const auto put = [&](int number, const T& x) { shared[number * pixels + t.thread()] = x; };
      for (int c = 0; c < feature_plan<K>::near; ++c) { put(c, now.near[c]); }
      put(numbers - 4, now.z), put(numbers - 3, now.inverse_z), put(numbers - 2, now.median),
          put(numbers - 1, now.rest);
    }
    t.sync();
    const idx begin = lists.begin[tile], count = lists.begin[tile + 1] - begin;
    for (idx first = t.thread() / warp_size * warp_size; first < count; first += t.size()) {
      const idx n = first + t.thread() % warp_size;
      T value[moments::count]{};
      if (first < seen[tile]) { // the same for all lanes
        pass_pixels(t, at, shared, checkpoints + keeps::at(tile, begin, first) * (keeps::numbers * pixels),
                    lists.records[lists.record[begin + (n < count ? n : count - 1)]], n < count, value);
      }
      if (n >= count) { continue; }
      for (int i = 0; i < moments::count; ++i) { out.put(t, begin + n, i, value[i]); }
    }
  }

private:
  template <team Team> SQS_DEVICE static void pass_pixels(Team& t, const tile_place& at, const T* shared, const T* kept,
                                                          const projected_gaussian<T>& r, bool real,
                                                          T (&value)[moments::count]) {
    const int lane = t.thread() % warp_size;
    T handed_t{}, handed_rest{};
    for (int step = 0; step < pixels + warp_size - 1; ++step) {
      const T from_t = t.shfl_up(handed_t, 1), from_rest = t.shfl_up(handed_rest, 1);
      const int p = step - lane;
      if (p < 0 || p >= pixels) { continue; }
      pixel_gradient<K, T> now;
      const auto get = [&](int number) { return shared[number * pixels + p]; };
      for (int c = 0; c < feature_plan<K>::near; ++c) { now.near[c] = get(c); }
      now.z = get(numbers - 4), now.inverse_z = get(numbers - 3), now.median = get(numbers - 2);
      now.pixel.t = lane == 0 ? kept[p] : from_t;
      now.rest = lane == 0 ? rest_at(now, get(numbers - 1), kept + p) : from_rest;
      const int warp = p / warp_size, in_warp = p % warp_size; // as thread_pixel has them
      const int x = at.x0 + warp % (K::tile / place::width) * place::width + in_warp % place::width;
      const int y = at.y0 + warp / (K::tile / place::width) * place::height + in_warp / place::width;
      if (real) {
        (void)add_pair<Config>(r, T(x) + T(0.5) - r.x, T(y) + T(0.5) - r.y, static_cast<const T*>(nullptr), now, value);
      }
      handed_t = now.pixel.t, handed_rest = now.rest;
    }
  }
  /// What lies behind a checkpoint: all, without what lies before it.
  SQS_DEVICE static T rest_at(const pixel_gradient<K, T>& now, T rest, const T* kept) {
    for (int c = 0; c < feature_plan<K>::near; ++c) { rest -= now.near[c] * kept[(1 + c) * pixels]; }
    if constexpr (keeps::with_z) { rest -= now.z * kept[keeps::z_at * pixels]; }
    if constexpr (K::inverse) { rest -= now.inverse_z * kept[keeps::inverse_at * pixels]; }
    return rest;
  }
};

} // namespace sqs::splat::detail
