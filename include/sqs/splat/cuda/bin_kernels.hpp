// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Second stage on a device. The pairs are sorted by depth, then their entries, one for each tile they cover, are laid
/// down one after the other and sorted by tile, stably: so every tile's list is in order of depth. The entries of a pair
/// stay side by side in the first order, which is where the way back adds them up.

#include <sqs/splat/cuda/project_kernels.hpp>

namespace sqs::splat::detail {

inline constexpr std::uint32_t no_tile = ~std::uint32_t{0};

/// What of each pair's box lies in the tile rows [band.begin, band.end).
template <class K, class T> struct clip_boxes_kernel {
  static constexpr const char* name = "sqs::splat::bin (band)";
  tile_grid grid;
  tile_band band;
  idx count, gaussians;
  const projected_gaussian<T>* records;
  const tile_box* boxes;
  const std::uint64_t* coverage;
  tile_box* clipped_boxes;
  std::uint64_t* clipped_coverage; ///< set where something is left

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx i = static_cast<idx>(t.block()) * t.size() + t.thread();
    if (i >= count) { return; }
    tile_box box = boxes[i];
    const idx above = grid[i / gaussians].first_row; // rows before this view
    const idx y0 = clamped(band.begin - above, box), y1 = clamped(band.end - above, box);
    if (!box.visible() || y0 >= y1) {
      clipped_boxes[i] = tile_box{};
      return;
    }
    const bool small = box.tiles() <= covered_tiles;
    const idx skipped = (y0 - box.y0) * (box.x1 - box.x0);
    box.y0 = static_cast<std::uint16_t>(y0), box.y1 = static_cast<std::uint16_t>(y1);
    clipped_boxes[i] = box;
    const idx left = box.tiles();
    clipped_coverage[i] =
        small ? (coverage[i] >> skipped) & (~std::uint64_t{0} >> (64 - left)) : coverage_of<K>(records[i], box);
  }

private:
  SQS_DEVICE static idx clamped(idx row, const tile_box& box) {
    return row < box.y0 ? idx{box.y0} : (row > box.y1 ? idx{box.y1} : row);
  }
};

/// Adds the entries of a band to the counts.
struct count_band_kernel {
  static constexpr const char* name = "sqs::splat::bin (counts)";
  const idx* entries; ///< of the band
  idx capacity;
  idx* counts; ///< of the call
  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    if (t.thread() != 0) { return; }
    counts[3] += *entries;
    counts[4] += *entries > capacity ? *entries - capacity : 0;
  }
};

/// entries[j] = tiles covered by the pair that is j-th in depth.
template <class T> struct count_entries_kernel {
  static constexpr const char* name = "sqs::splat::bin (count)";
  const std::int32_t* pairs; ///< in order of depth
  const tile_box* boxes;
  const std::uint64_t* coverage;
  idx count;
  idx* entries;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx j = static_cast<idx>(t.block()) * t.size() + t.thread();
    if (j >= count) { return; }
    const std::int32_t i = pairs[j];
    entries[j] = boxes[i].visible() ? covered(boxes[i], coverage[i]) : 0;
  }
};

/// Lays down the entries. A warp takes 32 pairs together: its lanes share their tiles, however unequal they are. Those of a
/// large box it finds again, 32 rows at a time.
template <class K, class T> struct lay_entries_kernel {
  static constexpr const char* name = "sqs::splat::bin (entries)";
  tile_grid grid;
  const std::int32_t* pairs;
  const projected_gaussian<T>* records;
  const tile_box* boxes;
  const std::uint64_t* coverage;
  const idx* first; ///< [pairs], in order of depth
  idx count, gaussians, capacity;
  std::uint32_t* tiles;  ///< [capacity]: what is sorted by
  std::int32_t* entries; ///< [capacity]: their own number
  std::int32_t* owners;  ///< [capacity]: the pair

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx j = static_cast<idx>(t.block()) * t.size() + t.thread();
    const std::int32_t i = j < count ? pairs[j] : 0;
    const tile_box box = j < count ? boxes[i] : tile_box{};
    const bool large = box.tiles() > covered_tiles;
    const std::uint64_t bits = box.visible() && !large ? coverage[i] : 0;
    const idx own = box.visible() && !large ? covered(box, bits) : 0, start = j < count ? first[j] : 0;
    const idx upto = warp_inclusive_scan(t, own), all = t.shfl(upto, warp_size - 1);
    const std::uint64_t packed =
        std::uint64_t{box.x0} | std::uint64_t{box.y0} << 16 | std::uint64_t{box.x1} << 32 | std::uint64_t{box.y1} << 48;
    for (idx base = 0; base < all; base += warp_size) {
      const idx k = base + t.thread() % warp_size;
      const int owner = owner_of(t, upto, k);
      const idx in_owner = k - (t.shfl(upto, owner) - t.shfl(own, owner)), e = t.shfl(start, owner) + in_owner;
      const tile_box b = unpacked(t.shfl(packed, owner));
      const std::uint64_t their_bits = t.shfl(bits, owner);
      const std::int32_t pair = t.shfl(i, owner);
      if (k >= all) { continue; }
      const idx n = covered_tile(their_bits, in_owner), width = b.x1 - b.x0;
      lay(e, pair, b.y0 + n / width, b.x0 + n % width);
    }
    for (unsigned left = t.ballot(large); left != 0; left &= left - 1) {
      const int owner = lowest_bit(left);
      const tile_box b = unpacked(t.shfl(packed, owner));
      const std::int32_t pair = t.shfl(i, owner);
      lay_rows(t, pair, b, t.shfl(start, owner));
    }
  }

private:
  /// The lane whose numbers k is among, given how many lie in the lanes up to each.
  template <team Team> SQS_DEVICE static int owner_of(Team& t, idx upto, idx k) {
    int owner = 0; // how many lanes end at or before k
    for (int step = warp_size / 2; step > 0; step /= 2) {
      if (t.shfl(upto, owner + step - 1) <= k) { owner += step; }
    }
    return owner;
  }
  SQS_DEVICE static tile_box unpacked(std::uint64_t bits) {
    const auto part = [&](int shift) { return static_cast<std::uint16_t>(bits >> shift); };
    return {part(0), part(16), part(32), part(48)};
  }
  SQS_DEVICE void lay(idx e, std::int32_t pair, idx y, idx x) const {
    if (e >= capacity) { return; }
    const auto& view = grid[pair / gaussians];
    tiles[e] = static_cast<std::uint32_t>(view.first_tile + y * view.tiles_x + x);
    entries[e] = static_cast<std::int32_t>(e);
    owners[e] = pair;
  }
  /// The same for one large box, a lane for each row and then for each tile.
  template <team Team> SQS_DEVICE void lay_rows(Team& t, std::int32_t pair, const tile_box& box, idx e) const {
    const covered_rows<K, T> rows(records[pair], box);
    for (int row = box.y0; row < box.y1; row += warp_size) {
      const int y = row + t.thread() % warp_size;
      const tile_span span = y < box.y1 ? rows[y] : tile_span{};
      const idx own = span.count(), upto = warp_inclusive_scan(t, own), all = t.shfl(upto, warp_size - 1);
      for (idx base = 0; base < all; base += warp_size) {
        const idx k = base + t.thread() % warp_size;
        const int owner = owner_of(t, upto, k);
        const idx before = t.shfl(upto, owner) - t.shfl(own, owner);
        const int x0 = t.shfl(span.first, owner);
        if (k < all) { lay(e + k, pair, row + owner, x0 + (k - before)); }
      }
      e += all;
    }
  }
};

/// Where each tile's list begins among the sorted entries, and whose record each is.
struct find_lists_kernel {
  static constexpr const char* name = "sqs::splat::bin (lists)";
  const std::uint32_t* tiles; ///< sorted; `no_tile` where there is no entry
  const std::int32_t *entries, *owners;
  idx capacity, tile_count;
  idx* begin;            ///< [tile_count + 1], all zero before
  std::int32_t* records; ///< [capacity]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const idx p = static_cast<idx>(t.block()) * t.size() + t.thread();
    if (p >= capacity || tiles[p] == no_tile) { return; }
    records[p] = owners[entries[p]];
    const idx here = tiles[p], before = p == 0 ? -1 : idx{tiles[p - 1]};
    for (idx tile = before + 1; tile <= here; ++tile) { begin[tile] = p; }
    if (p + 1 == capacity || tiles[p + 1] == no_tile) {
      for (idx tile = here + 1; tile <= tile_count; ++tile) { begin[tile] = p + 1; }
    }
  }
};

} // namespace sqs::splat::detail
