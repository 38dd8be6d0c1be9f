// SPDX-License-Identifier: Apache-2.0
#pragma once
// Products on tensor cores against the same product of rounded numbers: written once, run on the emulated device by
// cuda_mma_test.cpp and on a real one by cuda_sparse_test.cu.

#include "cuda_convolution_cases.hpp"

namespace sqs::test {

/// One step by one warp: c [16, 8] = a [16, words] b [words, 8], every lane bringing its part.
template <class Words> struct mma_kernel {
  static constexpr int k = 8 * Words::per_word;
  const float *a, *b; ///< [16, k], [k, 8]
  float* c;

  template <team Team> SQS_DEVICE void operator()(Team& t) const {
    const int lane = t.thread() % warp_size, g = lane / 4, i = lane % 4, n = Words::per_word;
    const auto left = [&](int row, int word) {
      return Words::of(a[row * k + word * n], a[row * k + word * n + n - 1]);
    };
    const auto right = [&](int word) { return Words::of(b[word * n * 8 + g], b[(word * n + n - 1) * 8 + g]); };
    const std::uint32_t fa[4] = {left(g, i), left(g + 8, i), left(g, i + 4), left(g + 8, i + 4)};
    const std::uint32_t fb[2] = {right(i), right(i + 4)};
    sparse::detail::mma_sums s{};
    sparse::detail::mma_step<Words, 1>(t, s, fa, fb);
    for (int r = 0; r < 4; ++r) { c[(g + r / 2 * 8) * 8 + 2 * i + r % 2] = s.c[r]; }
  }
};
/// Small integers are exact in every format: the sums must be, too.
template <class Words, class E> void expect_exact_step(E& e) {
  constexpr idx k = mma_kernel<Words>::k;
  auto a = make_tensor<float, 2>({16, k}), b = make_tensor<float, 2>({k, 8});
  for (idx i = 0; i < a.size(); ++i) { a.data()[i] = static_cast<float>(i * 7 % 31 - 15); }
  for (idx i = 0; i < b.size(); ++i) { b.data()[i] = static_cast<float>(i * 11 % 29 - 14); }
  const auto da = to_device(e, a), db = to_device(e, b);
  auto c = empty<float, 2>(e, {16, 8});
  launch(e, 1, warp_size, mma_kernel<Words>{da.data(), db.data(), c.data()});
  const auto result = to_host(e, c);
  for (idx i = 0; i < 16; ++i) {
    for (idx j = 0; j < 8; ++j) {
      float sum = 0;
      for (idx n = 0; n < k; ++n) { sum += a(i, n) * b(n, j); }
      EXPECT_EQ(result(i, j), sum) << i << " " << j;
    }
  }
}

template <class Words, int R> tensor<float, R> rounded(const tensor<float, R>& x) {
  auto y = make_tensor<float, R>(x.shape());
  for (idx i = 0; i < x.size(); ++i) { y.data()[i] = Words::value(Words::of(x.data()[i], 0), 0); }
  return y;
}
/// Features stored in a narrow type against the same numbers in float on the host: a result may round to the next.
template <class X, class E>
void expect_same_of_stored(E& e, const plan_pair& plan, sparse::product_precision p, double step, std::uint64_t seed) {
  cpu host{.threads = 1};
  const auto narrow = [](const tensor<float, 2>& t) {
    auto n = make_tensor<X, 2>(t.shape());
    std::transform(t.begin(), t.end(), n.begin(), [](float v) { return X(v); });
    return n;
  };
  const auto wide = [](const tensor<X, 2>& t) {
    auto w = make_tensor<float, 2>(t.shape());
    std::transform(t.begin(), t.end(), w.begin(), [](X v) { return static_cast<float>(v); });
    return w;
  };
  const auto x = narrow(numbers<float, 2>({plan.host.forward.inputs, 20}, seed));
  const auto dy = narrow(numbers<float, 2>({plan.host.forward.outputs, 35}, seed + 1));
  auto w = numbers<float, 3>({plan.host.forward.taps, 20, 35}, seed + 2);
  std::transform(w.begin(), w.end(), w.begin(), [](float v) { return static_cast<float>(X(v)); });
  const auto b = numbers<float, 1>({35}, seed + 3);
  const sparse::convolution_op op{plan.host};
  const auto r = op.forward(host, wide(x), w, b);
  const auto [dx, dw, db] = op.backward(host, r.saved, wide(dy), {true, true, true});
  const auto [y2, dx2, dw2, db2] = on_device(e, sparse::device_convolution_op{plan.device, 1, p}, x, w, b, dy);
  EXPECT_LE(relative_gap(wide(y2), r.value), step);
  EXPECT_LE(relative_gap(wide(dx2), dx), step);
  EXPECT_LE(relative_gap(dw2, dw), 1e-5);
  EXPECT_LE(relative_gap(db2, db), 1e-5);
}
/// A convolution and its gradients, of numbers that are rounded already: nothing else may be lost.
template <class Words, class E>
void expect_same_on_tensor_cores(E& e, const plan_pair& plan, const convolution_shape& c, std::uint64_t seed) {
  cpu host{.threads = 1};
  const idx inputs = plan.host.forward.inputs, outputs = plan.host.forward.outputs, taps = plan.host.forward.taps;
  const auto x = rounded<Words>(numbers<float, 2>({inputs, c.cin}, seed));
  const auto dy = rounded<Words>(numbers<float, 2>({outputs, c.cout}, seed + 1));
  const auto w = rounded<Words>(numbers<float, 3>({taps, c.cin / c.groups, c.cout}, seed + 2));
  const auto b = numbers<float, 1>({c.cout}, seed + 3);
  const sparse::convolution_op op{plan.host, c.groups};
  const auto r = op.forward(host, x, w, b);
  const auto [dx, dw, db] = op.backward(host, r.saved, dy, {true, true, true});
  using sparse::product_precision;
  constexpr auto precision = std::is_same_v<Words, sparse::detail::tf32_words>      ? product_precision::tf32
                             : std::is_same_v<Words, sparse::detail::float16_words> ? product_precision::float16
                                                                                    : product_precision::bfloat16;
  const sparse::device_convolution_op on{plan.device, c.groups, precision};
  const auto [y2, dx2, dw2, db2] = on_device(e, on, x, w, b, dy);
  const auto what = concat(c.cin, " to ", c.cout, " in ", c.groups, " groups, ", inputs, " to ", outputs);
  EXPECT_LE(relative_gap(y2, r.value), 1e-5) << what;
  EXPECT_LE(relative_gap(dx2, dx), 1e-5) << what;
  EXPECT_LE(relative_gap(dw2, dw), 1e-5) << what;
  EXPECT_LE(relative_gap(db2, db), 1e-5) << what;
}
template <class E> void expect_tensor_cores_of_many_shapes(E& e, int rows, std::uint64_t seed) {
  const auto plans = some_plans(e, rows, seed); // submanifold, strided, the adjoint of that
  const auto on = [&](std::size_t plan, const convolution_shape& c) {
    expect_same_on_tensor_cores<sparse::detail::bfloat16_words>(e, plans[plan], c, seed);
    expect_same_on_tensor_cores<sparse::detail::tf32_words>(e, plans[plan], c, seed);
    expect_same_on_tensor_cores<sparse::detail::float16_words>(e, plans[plan], c, seed);
  };
  on(0, {7, 33}), on(1, {7, 33}), on(2, {7, 33});
  on(1, {34, 65}), on(2, {1, 1}), on(0, {12, 8, 2}), on(0, {6, 6, 6});
}

} // namespace sqs::test
