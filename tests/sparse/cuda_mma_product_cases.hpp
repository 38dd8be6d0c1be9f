// SPDX-License-Identifier: Apache-2.0
#pragma once
// The product on tensor cores, every tile of it, against the plain sums in the same order: written once, run on the
// emulated device by cuda_mma_product_test.cpp and on a real one by cuda_mma_test.cu.

#include "cuda_mma_cases.hpp"

namespace sqs::test {

/// What a product multiplies, on the host.
template <class X> struct product_case {
  idx groups, depth, columns; ///< of a group
  bool transposed = false, flipped = false;
  tensor<X, 2> x;
  tensor<float, 3> w;
  tensor<float, 1> bias; ///< no elements: none

  product_case(const sparse::neighbour_table& n, idx g, idx d, idx c, bool back = false)
      : groups(g),
        depth(d),
        columns(c),
        transposed(back),
        flipped(back) {
    const auto wide = random_float<2>({n.inputs, g * d}, 21);
    x = make_tensor<X, 2>(wide.shape());
    std::transform(wide.begin(), wide.end(), x.begin(), [](float v) { return X(v); });
    w = random_float<3>(back ? extents<3>{n.taps, c, g * d} : extents<3>{n.taps, d, g * c}, 22);
    bias = random_float<1>({g * c}, 23);
  }
  float weight(idx tap, idx group, idx k, idx j) const {
    return transposed ? w(tap, j, group * depth + k) : w(tap, k, group * columns + j);
  }
};

/// The sums in the order that `device_convolution_op` states, with nothing of the kernels in it.
template <class Words, class X, class E>
tensor<X, 2> plain_product(E& e, const sparse::neighbour_table& n, const product_case<X>& c) {
  const auto input = to_host(e, n.input);
  auto y = make_tensor<X, 2>({n.outputs, c.groups * c.columns});
  const auto rounded = [](float v) { return Words::value(Words::of(v, 0), 0); };
  for (idx at = 0; at < n.outputs; ++at) {
    const idx row = n.order ? to_host(e, n.order)(at) : at;
    for (idx j = 0; j < c.groups * c.columns; ++j) {
      float sum = c.bias.size() > 0 ? c.bias(j) : 0;
      for (idx step = 0; step < n.taps; ++step) {
        const idx middle = n.taps / 2, tap = step == 0 ? middle : step <= middle ? step - 1 : step;
        const std::int32_t in = input(tap, at);
        if (in < 0) { continue; }
        for (idx k = 0; k < c.depth; ++k) {
          const float w = c.weight(c.flipped ? n.taps - 1 - tap : tap, j / c.columns, k, j % c.columns);
          const float product = rounded(static_cast<float>(c.x(in, j / c.columns * c.depth + k))) * rounded(w);
          sum += product;
        }
      }
      y(row, j) = X(sum);
    }
  }
  return y;
}

/// The kernel itself, with a tile of our choice; `run(kernel, threads)` launches it.
template <class Words, sparse::detail::mma_shape Shape, class X, class E, class Run>
tensor<X, 2> tiled_product(E& e, const sparse::neighbour_table& n, const product_case<X>& c, Run&& run) {
  using namespace sparse::detail;
  const auto x = to_device(e, c.x);
  const auto w = to_device(e, c.w);
  const auto bias = to_device(e, c.bias);
  const auto rows = rows_of_words<Words>::of(e, x, c.groups);
  const auto panels = weights_of_words<Words>::of(e, w, c.groups, c.depth, c.columns, c.transposed, Shape.columns);
  auto y = empty<X, 2>(e, {n.outputs, c.groups * c.columns});
  run(mma_product_kernel<X, Words, Shape>{n.packed(c.flipped),
                                          rows.data,
                                          panels.panels.data(),
                                          c.bias.size() > 0 ? bias.data() : nullptr,
                                          y.data(),
                                          c.groups,
                                          c.columns,
                                          panels.room,
                                          rows.words,
                                          {}},
      Shape.threads());
  return to_host(e, y);
}
template <class Words, sparse::detail::mma_shape Shape, class X, class E>
tensor<X, 2> tiled_product(E& e, const sparse::neighbour_table& n, const product_case<X>& c) {
  return tiled_product<Words, Shape>(e, n, c, [&](const auto& k, int threads) { launch(e, k.blocks(), threads, k); });
}

/// A table of random sites and an odd kernel.
template <class E> sparse::neighbour_table cube_of(E& e, int rows, const sparse::tap_set<3>& taps) {
  const auto at = as_tensor(random_cells{3}.draw(rows, 2, {7, 7, 7}), 3);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, at), {7, 7, 7}, 2);
  return sparse::make_device_submanifold_plan<3>(e, s, taps).forward;
}
/// Small integers are exact in every format and in every order of the sums: the same bits, also of real tensor cores.
template <class Words, class E> void expect_exact_tiles(E& e, int rows) {
  using X = typename Words::stored;
  const auto n = cube_of(e, rows, sparse::taps<3, 3, 3>{});
  for (const auto& [depth, columns] : {std::pair<idx, idx>{40, 70}, {9, 130}}) { // rows as they lie, and copied
    product_case<X> c{n, 1, depth, columns};
    for (idx i = 0; i < c.x.size(); ++i) { c.x.data()[i] = X(static_cast<float>(i * 7 % 5 - 2)); }
    for (idx i = 0; i < c.w.size(); ++i) { c.w.data()[i] = static_cast<float>(i * 11 % 3 - 1); }
    for (idx i = 0; i < c.bias.size(); ++i) { c.bias(i) = static_cast<float>(i % 4); }
    const auto right = plain_product<Words>(e, n, c);
    using namespace sparse::detail;
    EXPECT_TRUE(same_bits((tiled_product<Words, small_product>(e, n, c)), right)) << depth << " " << columns;
    EXPECT_TRUE(same_bits((tiled_product<Words, tall_product>(e, n, c)), right)) << depth << " " << columns;
    EXPECT_TRUE(same_bits((tiled_product<Words, wide_product>(e, n, c)), right)) << depth << " " << columns;
  }
}

/// Four matrices as they lie, and transposed.
struct matrices_kernel {
  std::uint32_t *plain, *transposed; ///< [32, 4]

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    auto* const rows = shared_array<struct matrices, sparse::detail::piece_of_words, 32>(t);
    const int own = (t.thread() * 5 + 3) % 32; // rows of a matrix lie anywhere
    for (int w = 0; w < 4; ++w) {
      const auto half = [&](int n) { return static_cast<std::uint32_t>(t.thread() * 8 + 2 * w + n); };
      rows[own].word[w] = half(0) | half(1) << 16;
    }
    t.sync();
    std::uint32_t a[4], b[4];
    sparse::detail::load_matrices<1>(t, a, rows[own].word);
    sparse::detail::load_transposed<1>(t, b, rows[own].word);
    for (int i = 0; i < 4; ++i) { plain[t.thread() * 4 + i] = a[i], transposed[t.thread() * 4 + i] = b[i]; }
  }
};
template <class E> void expect_parts_of_matrices(E& e) {
  auto plain = empty<std::uint32_t, 2>(e, {32, 4}), transposed = empty<std::uint32_t, 2>(e, {32, 4});
  launch(e, 1, 32, matrices_kernel{plain.data(), transposed.data()});
  const auto p = to_host(e, plain), t = to_host(e, transposed);
  const auto half = [](idx matrix, idx row, idx column) { // what lane 8 matrix + row put there
    return static_cast<std::uint32_t>((8 * matrix + row) * 8 + column);
  };
  for (idx lane = 0; lane < 32; ++lane) {
    const idx g = lane / 4, i = lane % 4;
    for (idx m = 0; m < 4; ++m) {
      EXPECT_EQ(p(lane, m), half(m, g, 2 * i) | half(m, g, 2 * i + 1) << 16) << lane << " " << m;
      EXPECT_EQ(t(lane, m), half(m, 2 * i, g) | half(m, 2 * i + 1, g) << 16) << lane << " " << m;
    }
  }
}

} // namespace sqs::test
