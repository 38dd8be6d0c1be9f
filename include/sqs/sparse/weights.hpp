// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Weights of other engines (spconv, MinkowskiEngine), brought into the layout [taps, Cin, Cout] of this one. Written for
/// `stored_tensor` and `safetensors_file`, but it asks only for their members: programs that read no files do not pay.

#include <sqs/sparse/taps.hpp>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

namespace sqs::sparse {

/// How another engine stores the weights of a sparse convolution; k... are the extents of the kernel.
enum class weight_layout {
  spconv,    ///< since 2.2: [Cout, k..., Cin], for every kind of layer, transposed and inverse ones, too
  spconv_1,  ///< 1.x: [k..., Cin, Cout]
  spconv_20, ///< 2.0 and 2.1: [k..., Cout, Cin]
  minkowski  ///< [taps, Cin, Cout], or [Cin, Cout] for one tap; the first axis of the kernel runs fastest
};
/// What the weights of a 1 x 1 x 1 kernel mean in an spconv file. Where nothing is strided or padded, spconv 2 does not
/// transpose [Cout, 1, 1, 1, Cin]: it reads the same memory as [Cin, Cout], and has trained such weights.
enum class one_tap_rule {
  reinterpreted, ///< as spconv computes submanifold and plain 1 x 1 x 1 layers
  transposed     ///< as the shape says: strided, transposed and inverse layers
};
/// How a stored weight becomes one of this library.
template <int D = 3> struct weight_rule {
  weight_layout layout = weight_layout::spconv;
  tap_set<D> taps;
  one_tap_rule one_tap = one_tap_rule::reinterpreted;
};

namespace detail {

/// Channels and shape as the layout says, or a sentence about what is wrong.
template <int D> std::pair<idx, idx> channels_of(const std::vector<std::int64_t>& shape, const weight_rule<D>& rule) {
  constexpr std::size_t d = static_cast<std::size_t>(D);
  const auto& k = rule.taps.extent;
  const auto kernel_at = [&](std::size_t first) {
    return shape.size() == d + 2 && std::equal(k.begin(), k.end(), shape.begin() + static_cast<std::ptrdiff_t>(first));
  };
  std::string wanted = "[" + extents_text(k) + " (the kernel), Cin, Cout]";
  switch (rule.layout) {
  case weight_layout::spconv:
    if (kernel_at(1)) { return {shape[d + 1], shape[0]}; }
    wanted = "[Cout, " + extents_text(k) + " (the kernel), Cin]";
    break;
  case weight_layout::spconv_1:
    if (kernel_at(0)) { return {shape[d], shape[d + 1]}; }
    break;
  case weight_layout::spconv_20:
    if (kernel_at(0)) { return {shape[d + 1], shape[d]}; }
    wanted = "[" + extents_text(k) + " (the kernel), Cout, Cin]";
    break;
  case weight_layout::minkowski:
    if (shape.size() == 3 && shape[0] == rule.taps.count()) { return {shape[1], shape[2]}; }
    if (shape.size() == 2 && rule.taps.count() == 1) { return {shape[0], shape[1]}; }
    wanted = concat("[", rule.taps.count(), ", Cin, Cout]");
  }
  std::string text;
  for (const auto n : shape) { text += (text.empty() ? "" : ", ") + std::to_string(n); }
  raise<file_error>("sqs::sparse::import_weight: the stored weight is [", text, "], this layout and kernel need ",
                    wanted, "; check the kernel and the version of the engine that wrote it");
}

/// The number MinkowskiEngine gives a tap: its first axis runs fastest.
template <int D> idx minkowski_number(const tap_set<D>& taps, idx tap) {
  const auto p = taps.at(tap);
  idx n = 0;
  for (std::size_t a = p.size(); a-- > 0;) { n = n * taps.extent[a] + p[a]; }
  return n;
}

} // namespace detail

/// A tensor as a file holds it.
template <class X>
concept stored_array = requires(X x) {
  x.dtype;
  x.shape.assign({std::int64_t{}});
  x.data.assign(1, std::byte{});
};

/// The weight in the layout [taps, Cin, Cout] of `convolution`, elements as they are.
///
/// All engines here correlate, as this library does: tap k of an odd kernel sees the site at k - kernel / 2.
/// MinkowskiEngine's even kernels see sites 0 .. kernel - 1: give their relation the pad 0, odd ones the pad kernel / 2.
///
/// Errors      file_error if the shape is not that of the layout.
template <int D, stored_array Stored> Stored import_weight(const Stored& from, const weight_rule<D>& rule) {
  const auto channels = detail::channels_of(from.shape, rule);
  const idx in = channels.first, out = channels.second;
  const idx taps = rule.taps.count(), count = taps * in * out, bytes = static_cast<idx>(from.data.size());
  const idx size = count > 0 ? bytes / count : 0;
  expects(bytes == count * size, "sqs::sparse::import_weight: ", bytes, " bytes of ", from.dtype, " are no ", taps,
          " x ", in, " x ", out, " weights; the file is damaged");
  const bool reinterpreted = taps == 1 && rule.one_tap == one_tap_rule::reinterpreted;
  Stored to{from.dtype, {taps, in, out}, std::vector<std::byte>(from.data.size())};
  const auto source = [&](idx tap, idx i, idx o) {
    if (reinterpreted) { return i * out + o; }
    switch (rule.layout) {
    case weight_layout::spconv:
      return (o * taps + tap) * in + i;
    case weight_layout::spconv_20:
      return (tap * out + o) * in + i;
    case weight_layout::minkowski:
      return (detail::minkowski_number(rule.taps, tap) * in + i) * out + o;
    case weight_layout::spconv_1:
      break;
    }
    return (tap * in + i) * out + o;
  };
  for (idx n = 0; n < count; ++n) {
    std::copy_n(from.data.data() + source(n / (in * out), n / out % in, n % out) * size, size,
                to.data.data() + n * size);
  }
  return to;
}

/// Where a tensor of the model comes from: its name in the other engine's file and, for the weight of a sparse
/// convolution, what it looks like there.
template <int D = 3> struct foreign_tensor {
  std::string name;
  std::optional<weight_rule<D>> weight;
};

/// A file of this library out of one of another engine; `names` maps the model's names to the file's. `load_model` reads
/// it and reports what the map left out. Other layouts (linear maps, norms) are those of PyTorch and stay.
///
/// Errors      file_error for a name the file does not have and for a shape that is not the layout's.
template <int D = 3, class File>
File import_tensors(const File& file, const std::map<std::string, foreign_tensor<D>>& names) {
  File result;
  for (const auto& [name, from] : names) {
    const auto& stored = file.at(from.name);
    result.tensors[name] = from.weight ? import_weight(stored, *from.weight) : stored;
  }
  return result;
}

} // namespace sqs::sparse
