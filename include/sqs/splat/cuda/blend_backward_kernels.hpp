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

/// The gradients of a pixel, and its state while Gaussians pass. `Along`: features whose gradients are kept here.
template <class K, class T, int Along = feature_plan<K>::along> struct pixel_gradient {
  using plan = feature_plan<K>;
  pixel_state<K, T> pixel;
  T rest{};             ///< S: what lies behind contributes
  T near[plan::near]{}; ///< dL/d(channels)
  T feature[Along > 0 ? Along : 1]{};
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
    for (int c = 0; c < Along; ++c) { feature[c] = image[plan::near + c]; }
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
  /// What the image and the depths gain, for each unit of weight of a record.
  SQS_DEVICE T toward(const projected_gaussian<T>& r, const T* features) const {
    T sum = near[0] * r.colour[0];
    for (int c = 1; c < plan::near; ++c) { sum += near[c] * r.colour[c]; }
    if constexpr (K::accumulated || K::expected) { sum += z * r.depth; }
    if constexpr (K::inverse) { sum += inverse_z / r.depth; }
    for (int c = 0; c < Along; ++c) { sum += feature[c] * features[c]; }
    for (int c = Along; c < plan::features; ++c) { sum += image[plan::near + c] * features[c]; }
    return sum;
  }
};

/// Passes a record over a pixel at (dx, dy) from its centre: adds what the pixel has for the sums of `moment_plan`, but
/// for channels from that of feature `Count` on. `features` are those of the Gaussian. Whether there is anything to add.
template <raster_config Config, int Count, class K, class T, int Along, int N>
SQS_DEVICE bool add_pair(const projected_gaussian<T>& r, const T& dx, const T& dy, const T* features,
                         pixel_gradient<K, T, Along>& now, T (&value)[N]) {
  using plan = feature_plan<K>;
  using moments = moment_plan<Config>;
  T slope{};
  const T alpha = alpha_of<K>(r, dx, dy, &slope);
  if (alpha == T(0)) { return false; }
  const T before = now.pixel.t, w = blend_one<K>(now.pixel, alpha);
  if (w == T(0)) { return false; }
  const T toward = now.toward(r, features);
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
  T* const sum = value + moments::colours + plan::near;
  for (int c = 0; c < std::min(Count, Along); ++c) { sum[c] += w * now.feature[c]; }
  for (int c = Along; c < Count; ++c) { sum[c] += w * now.image[plan::near + c]; }
  return true;
}

/// The background's gradient of a tile, and whether NaN or Inf came in.
template <class K, class T> struct tile_gradient_pointers {
  T* background;          ///< [tiles, C]
  std::int32_t* infinite; ///< [tiles]

  template <team Team, int Along>
  SQS_DEVICE void set(Team& t, idx tile, const pixel_gradient<K, T, Along>& now, const T& left) const {
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

/// The sums a pass makes of an entry, as a part of the row of `moment_plan`.
template <raster_config Config, bool Lead, int First, int Count> struct row_part {
  using moments = moment_plan<Config>;
  static constexpr int features = moments::colours + feature_plan<raster_constants<Config, float>>::near;
  static constexpr int first = Lead ? 0 : features + First, count = Lead ? features + Count : Count;
};

/// Replays a tile. The pass that leads has all but the sums of features from `First` on; others only have those of
/// their features, for which they compute the weights again.
template <raster_config Config, class T, bool Lead, int First, int Count> struct blend_backward_kernel {
  static constexpr const char* name = "sqs::splat::blend_backward";
  using K = raster_constants<Config, T>;
  using place = thread_pixel<K::tile>;
  using plan = feature_plan<K>;
  using moments = moment_plan<Config>;
  using part = row_part<Config, Lead, First, Count>;
  static constexpr int first_sum = part::first, sums = part::count, most_threads = place::threads;
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
      return add_pair<Config, Count>(r, dx, dy, colours + idx{r.gaussian} * K::columns + plan::first_column, now,
                                     value);
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

} // namespace sqs::splat::detail
