// SPDX-License-Identifier: Apache-2.0
#pragma once
// Pair lists by brute force, for tests and benchmarks: every output asks for every tap in an ordered map of the inputs.
// Shares no code with the builders of the library; slow.

#include <sqs/sparse/pair_lists.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <vector>

namespace sqs::test {

struct pair {
  std::int32_t tap = 0, input = 0, output = 0;
};
using site = std::array<int, 4>; ///< b, x, y, z

/// Offsets of the taps of a k x k x k kernel whose tap k/2 is the centre; tap index = (x * k + y) * k + z.
inline std::vector<std::array<int, 3>> cube(int k) {
  std::vector<std::array<int, 3>> taps;
  for (int i = 0; i < k * k * k; ++i) { taps.push_back({i / (k * k) - k / 2, i / k % k - k / 2, i % k - k / 2}); }
  return taps;
}

/// (tap, input, output) for every input row at site stride * output + offset of the tap. Sites may repeat.
inline std::vector<pair> pairs_of(const std::vector<site>& inputs, const std::vector<site>& outputs,
                                  const std::vector<std::array<int, 3>>& taps, int stride = 1) {
  std::map<site, std::vector<std::int32_t>> rows;
  for (std::size_t i = 0; i < inputs.size(); ++i) { rows[inputs[i]].push_back(static_cast<std::int32_t>(i)); }
  std::vector<pair> found;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const site& at = outputs[o];
    for (std::size_t k = 0; k < taps.size(); ++k) {
      const auto hit =
          rows.find({at[0], stride * at[1] + taps[k][0], stride * at[2] + taps[k][1], stride * at[3] + taps[k][2]});
      if (hit == rows.end()) { continue; }
      for (const auto i : hit->second) {
        found.push_back({static_cast<std::int32_t>(k), i, static_cast<std::int32_t>(o)});
      }
    }
  }
  return found;
}

/// The pairs in the order of `pair_lists`. `order` lists the output rows; empty: 0, 1, 2, ...
inline sparse::pair_lists lists_of(const std::vector<pair>& pairs, idx inputs, idx outputs, idx taps, idx tile,
                                   const std::vector<std::int32_t>& order = {}) {
  std::vector<idx> place(static_cast<std::size_t>(outputs)); // of an output row in the order
  for (std::size_t i = 0; i < place.size(); ++i) {
    place[order.empty() ? i : static_cast<std::size_t>(order[i])] = static_cast<idx>(i);
  }
  std::vector<std::tuple<idx, idx, std::int32_t, std::int32_t>> sorted; // list, place, input, output
  for (const auto& p : pairs) {
    const idx at = place[static_cast<std::size_t>(p.output)];
    sorted.emplace_back(at / tile * taps + p.tap, at, p.input, p.output);
  }
  std::sort(sorted.begin(), sorted.end());
  sparse::pair_lists l;
  l.inputs = inputs;
  l.outputs = outputs;
  l.taps = taps;
  l.tile = tile;
  if (!order.empty()) {
    l.order = make_tensor<std::int32_t, 1>({outputs});
    std::copy(order.begin(), order.end(), l.order.data());
  }
  l.begin = make_tensor<idx, 1>({l.tiles() * taps + 1});
  l.input = make_tensor<std::int32_t, 1>({static_cast<idx>(pairs.size())});
  l.output = make_tensor<std::int32_t, 1>({static_cast<idx>(pairs.size())});
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [list, at, input, output] = sorted[i];
    ++l.begin.data()[list + 1];
    l.input.data()[i] = input;
    l.output.data()[i] = output;
  }
  for (idx i = 0; i < l.tiles() * taps; ++i) { l.begin.data()[i + 1] += l.begin.data()[i]; }
  return l;
}

/// A plan whose way back has lists of its own.
inline sparse::convolution_plan plan_of(const std::vector<pair>& pairs, idx inputs, idx outputs, idx taps, idx tile) {
  std::vector<pair> swapped;
  for (const auto& p : pairs) { swapped.push_back({p.tap, p.output, p.input}); }
  return {lists_of(pairs, inputs, outputs, taps, tile), lists_of(swapped, outputs, inputs, taps, tile), false};
}
/// The plan of a submanifold convolution: one set of lists for both ways.
inline sparse::convolution_plan mirrored_plan_of(const std::vector<pair>& pairs, idx rows, idx taps, idx tile) {
  const auto lists = lists_of(pairs, rows, rows, taps, tile);
  return {lists, lists, true};
}

} // namespace sqs::test
