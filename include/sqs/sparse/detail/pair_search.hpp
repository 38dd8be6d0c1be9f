// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Finds the pairs of a geometric relation between two sets of sites and writes them as lists of tiles.

#include <sqs/sparse/detail/tile_windows.hpp>
#include <sqs/sparse/pair_lists.hpp>
#include <sqs/sparse/sites.hpp>

namespace sqs::sparse::detail {

/// What a tap sees of a voxel with several rows.
enum class shared_rows {
  all,           ///< all of them
  apart,         ///< all of them, but the middle tap sees the row itself only
  representative ///< see duplicate_rule
};

/// Outputs of a tile: a function of their number alone.
inline idx tile_size(idx outputs) {
  const auto even = static_cast<std::uint64_t>(std::max<idx>(outputs / 64, 1));
  return std::clamp<idx>(static_cast<idx>(std::bit_floor(even)), 64, most_outputs_of_tile);
}

/// The outputs of a tile, cut into runs of one row of cells each. Lives on the stack.
struct tile_outputs {
  idx first = 0, count = 0, runs = 0;
  std::array<std::int32_t, most_outputs_of_tile> last; ///< coordinate along the last axis
  std::array<std::int32_t, most_outputs_of_tile> run;  ///< of an output
  std::array<key_type, most_outputs_of_tile> key;      ///< of a run's first output

  template <int D> void read(const sites<D>& s, idx begin, idx behind) {
    first = begin, count = behind - begin, runs = 0;
    const int bits = s.layout.bits[s.layout.last];
    for (idx i = 0; i < count; ++i) {
      const key_type k = s.key.data()[s.voxel_at(first + i)];
      last[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(s.layout.coordinate(k, s.layout.last));
      if (i == 0 || (k >> bits) != (key[static_cast<std::size_t>(runs - 1)] >> bits)) {
        key[static_cast<std::size_t>(runs++)] = k;
      }
      run[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(runs - 1);
    }
  }
};

/// Pairs (input voxel, output of the tile) of the taps of a window. Lives on the stack.
struct pair_buffer {
  std::array<std::array<std::int32_t, most_outputs_of_tile>, taps_of_window> input, output;
  std::array<idx, taps_of_window> count;

  /// Without a branch: what is no hit is written, too, and then overwritten.
  template <class Windows> void read(const sighting* seen, idx outputs) {
    idx n0 = 0, n1 = 0, n2 = 0;
    for (idx i = 0; i < outputs; ++i) {
      const sighting s = seen[i];
      n0 += put<Windows>(0, n0, s, i), n1 += put<Windows>(1, n1, s, i), n2 += put<Windows>(2, n2, s, i);
    }
    count = {n0, n1, n2};
  }

private:
  template <class Windows> idx put(int tap, idx at, sighting s, idx output_row) {
    const auto t = static_cast<std::size_t>(tap), n = static_cast<std::size_t>(at);
    input[t][n] = Windows::index(s, tap);
    output[t][n] = static_cast<std::int32_t>(output_row);
    return Windows::hit(s, tap);
  }
};

/// The search of the (fine) inputs every (coarse) output meets, in two passes over the tiles: look and count, then write.
template <int D> class pair_search {
public:
  pair_search(const sites<D>& in, const sites<D>& out, const relation<D>& r, shared_rows rule)
      : in_(in),
        out_(out),
        rule_(rule),
        taps_(r.taps) {
    for (std::size_t a = 0; a <= last; ++a) { axis_[a] = rule_of(r, a, in.grid()[a], false); }
    last_taps_ = r.taps.extent[last];
    row_taps_ = r.taps.count() / last_taps_;
    // Taps of one window lie within 64 cells.
    group_ = 2 * r.dilation[last] < 64 ? taps_of_window : 1;
    groups_ = (last_taps_ + group_ - 1) / group_;
    shared_ = in.shared() || out.shared();
  }

  pair_lists run(cpu& e) {
    return axis_[last].dilation == 1 ? run_through<near_windows>(e) : run_through<far_windows>(e);
  }

private:
  static constexpr std::size_t last = static_cast<std::size_t>(D) - 1;
  /// A part of a row's number that is no row: beyond all of them, and three of it still fit the type.
  static constexpr key_type nowhere = key_type{1} << 62;

  template <class Windows> pair_lists run_through(cpu& e) {
    pair_lists p;
    p.inputs = in_.rows, p.outputs = out_.rows, p.taps = taps_.count(), p.tile = tile_size(out_.rows);
    p.order = out_.order;
    p.begin = empty<idx, 1>(e, {p.tiles() * p.taps + 1});
    make_room(e, p.tiles());
    parallel_for(e, p.tiles(), 1, [&](idx t, idx) { look_from<Windows>(p, t); });
    const idx lists = p.tiles() * p.taps, pairs = exclusive_scan(e, p.begin.data(), p.begin.data(), lists);
    p.begin.data()[lists] = pairs;
    p.input = empty<std::int32_t, 1>(e, {pairs});
    p.output = empty<std::int32_t, 1>(e, {pairs});
    parallel_for(e, p.tiles(), 1, [&](idx t, idx) { write<Windows>(p, t); });
    return p;
  }

  void make_room(cpu& e, idx tiles) {
    seen_ = empty<sighting, 1>(e, {out_.rows * row_taps_ * groups_});
    cursors_ = empty<std::int32_t, 1>(e, {out_.rows * row_taps_});
    places_ = empty<std::int32_t, 1>(e, {tiles * row_taps_});
    tap_parts_ = empty<idx, 1>(e, {row_taps_ * static_cast<idx>(last)});
    for (idx k = 0; k < row_taps_; ++k) {
      const auto tap = taps_.at(k * last_taps_);
      axis_taps_ = 0;
      for (std::size_t a = 0; a < last; axis_taps_ += taps_.extent[a++]) {
        tap_parts_.data()[k * static_cast<idx>(last) + static_cast<idx>(a)] = axis_taps_ + tap[a];
      }
    }
    parts_ = empty<key_type, 1>(e, {tiles * axis_taps_});
  }

  /// Calls f(sightings, first tap, row tap, taps) for every window of a tile.
  template <class F> void each_window(idx first, idx count, idx group, F&& f) {
    const idx tap = group * group_, taps = std::min(group_, last_taps_ - tap);
    for (idx k = 0; k < row_taps_; ++k) {
      f(seen_.data() + (first * row_taps_ + k * count) * groups_ + group * count, k * last_taps_ + tap, k, taps);
    }
  }

  template <class Windows> void look_from(pair_lists& p, idx t) {
    tile_outputs tile;
    tile.read(out_, t * p.tile, std::min(p.outputs, (t + 1) * p.tile));
    place(tile, t);
    Windows windows;
    for (idx g = 0; g < groups_; ++g) {
      windows.read(tile.last.data(), tile.count, axis_[last], g * group_, std::min(group_, last_taps_ - g * group_));
      each_window(tile.first, tile.count, g, [&](sighting* seen, idx tap, idx row_tap, idx taps) {
        auto hits = look(in_.words, in_.layout.word_bits, windows, tile.count, tile.run.data(),
                         cursors_.data() + tile.first * row_taps_ + row_tap * tile.count, seen);
        if (shared_) { hits = rows_of<Windows>(seen, tile.first, tile.count, tap, taps); }
        std::copy_n(hits.data(), taps, p.begin.data() + t * p.taps + tap);
      });
    }
  }
  /// Pairs of rows of the taps of a window.
  template <class Windows>
  std::array<idx, taps_of_window> rows_of(const sighting* seen, idx first, idx count, idx tap, idx taps) const {
    pair_buffer b;
    b.read<Windows>(seen, count);
    std::array<idx, taps_of_window> n{};
    for (idx w = 0; w < taps; ++w) {
      each_pair_of_rows(b, static_cast<std::size_t>(w), first, tap + w,
                        [&](idx, idx) { ++n[static_cast<std::size_t>(w)]; });
    }
    return n;
  }

  template <class Windows> void write(pair_lists& p, idx t) {
    const idx first = t * p.tile, count = std::min(p.outputs - first, p.tile);
    pair_buffer b;
    for (idx g = 0; g < groups_; ++g) {
      each_window(first, count, g, [&](const sighting* seen, idx tap, idx, idx taps) {
        b.template read<Windows>(seen, count);
        for (idx w = 0; w < taps; ++w) {
          const idx to = p.begin.data()[t * p.taps + tap + w];
          std::int32_t *input = p.input.data() + to, *output = p.output.data() + to;
          each_pair_of_rows(b, static_cast<std::size_t>(w), first, tap + w, [&](idx in, idx out) {
            *input++ = static_cast<std::int32_t>(in);
            *output++ = static_cast<std::int32_t>(out);
          });
        }
      });
    }
  }

  /// Finds the row of cells every run meets at every tap of the other axes. Ascending runs meet ascending rows, so each
  /// tap has a place in the list of words that only moves on; the taps are independent, which hides the waiting.
  void place(const tile_outputs& tile, idx t) {
    std::int32_t* const cursor = cursors_.data() + tile.first * row_taps_;
    std::int32_t* const place = places_.data() + t * row_taps_;
    key_type* const part = parts_.data() + t * axis_taps_;
    std::fill(place, place + row_taps_, -1);
    const key_type* const number = in_.words.number.data();
    const auto words = static_cast<std::int32_t>(in_.words.size());
    for (idx r = 0; r < tile.runs; ++r) {
      find_parts(tile, r, part);
      const key_type batch =
          in_.layout.row_of_key(in_.layout.part(out_.layout.coordinate(tile.key[static_cast<std::size_t>(r)], 0), 0));
      for (idx k = 0; k < row_taps_; ++k) {
        const key_type row = batch + row_of_tap(part, k);
        std::int32_t at = place[k];
        if (row >= nowhere) {
          cursor[k * tile.count + r] = words;
          continue;
        }
        if (at < 0) { at = static_cast<std::int32_t>(std::lower_bound(number, number + words, row) - number); }
        at += number[at] < row ? 1 : 0; // mostly this is enough
        at += number[at] < row ? 1 : 0;
        while (number[at] < row) { ++at; }
        place[k] = at;
        cursor[k * tile.count + r] = in_.layout.row_of_word(number[at]) == row ? at : words;
      }
    }
  }
  /// What every tap of every leading axis adds to the number of the row that run r meets.
  void find_parts(const tile_outputs& tile, idx r, key_type* part) const {
    const key_type key = tile.key[static_cast<std::size_t>(r)];
    const key_type before = r > 0 ? tile.key[static_cast<std::size_t>(r - 1)] : key;
    for (std::size_t a = 0; a < last; part += taps_.extent[a++]) {
      const idx c = out_.layout.coordinate(key, a + 1);
      if (r > 0 && c == out_.layout.coordinate(before, a + 1)) { continue; }
      for (idx k = 0; k < taps_.extent[a]; ++k) {
        const idx in = axis_[a].input(c, k);
        part[k] = in < 0 ? nowhere : in_.layout.row_of_key(in_.layout.part(in, a + 1));
      }
    }
  }
  /// The row that tap k of the leading axes meets: the sum of the parts of its axes.
  key_type row_of_tap(const key_type* part, idx k) const {
    key_type row = 0;
    const idx* const which = tap_parts_.data() + k * static_cast<idx>(last);
    for (std::size_t a = 0; a < last; ++a) { row += part[which[a]]; }
    return row;
  }

  /// Calls f(input row, output row) for the rows of the pairs of voxels of a tap.
  template <class F>
  void each_pair_of_rows(const pair_buffer& b, std::size_t window_tap, idx first, idx tap, F&& f) const {
    const auto &input = b.input[window_tap], &output = b.output[window_tap];
    const auto n = static_cast<std::size_t>(b.count[window_tap]);
    if (!shared_) {
      for (std::size_t i = 0; i < n; ++i) { f(in_.row_at(input[i]), out_.row_at(first + output[i])); }
      return;
    }
    const idx middle = taps_.count() / 2;
    for (std::size_t i = 0; i < n; ++i) {
      const idx v = input[i], o = first + output[i], row = out_.row_at(o);
      if (rule_ != shared_rows::all && tap == middle) {
        f(row, row);
        continue;
      }
      idx from = in_.first ? in_.first.data()[v] : v, behind = in_.first ? in_.first.data()[v + 1] : v + 1;
      if (rule_ == shared_rows::representative) { // it hears from all who scanned it; they hear from it alone
        if (tap > middle && o != out_.first.data()[out_.voxel_at(o)]) { continue; }
        if (tap < middle) { behind = from + 1; }
      }
      for (; from < behind; ++from) { f(in_.row_at(from), row); }
    }
  }

  const sites<D>& in_;
  const sites<D>& out_;
  shared_rows rule_;
  tap_set<D> taps_;
  std::array<axis_rule, static_cast<std::size_t>(D)> axis_{};
  idx last_taps_ = 1, row_taps_ = 1; // of the last axis, of all others together
  idx group_ = 1, groups_ = 1;       // taps of the last axis in a window, windows
  idx axis_taps_ = 0;                // taps of all leading axes, one axis behind the other
  bool shared_ = false;
  tensor<sighting, 1> seen_;        // [tile][row tap][window][output of the tile]
  tensor<std::int32_t, 1> cursors_; // [tile][row tap][run of the tile]
  tensor<std::int32_t, 1> places_;  // [tile][row tap]
  tensor<key_type, 1> parts_;       // [tile][tap of an axis]
  tensor<idx, 1> tap_parts_;        // [row tap][axis]
};

} // namespace sqs::sparse::detail
