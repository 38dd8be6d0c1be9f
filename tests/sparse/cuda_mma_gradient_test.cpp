// SPDX-License-Identifier: Apache-2.0
// The weight gradient on emulated tensor cores: the bits of the plain sums; waits and barriers that are left out show.
#include "cuda_mma_cases.hpp"
#include "cuda_mma_faults.hpp"

namespace cuda_mma_gradient_test {

using namespace sqs;
using namespace sqs::test;
using namespace sqs::sparse::detail;

/// Rows of both sides of a table.
template <class X> struct gradient_case {
  idx groups, depth, columns; ///< of a group
  bool flipped;
  tensor<X, 2> x, d;

  gradient_case(const sparse::neighbour_table& n, idx g, idx k, idx c, bool f = false)
      : groups(g),
        depth(k),
        columns(c),
        flipped(f) {
    const auto stored = [](const tensor<float, 2>& t) {
      auto s = make_tensor<X, 2>(t.shape());
      std::transform(t.begin(), t.end(), s.begin(), [](float v) { return X(v); });
      return s;
    };
    x = stored(random_float<2>({n.inputs, g * k}, 31));
    d = stored(random_float<2>({n.outputs, g * c}, 32));
  }
};

/// Over pairs in the order of the outputs, ranges of tiles by themselves, with nothing of the kernels in it.
template <class Words, class X, class E>
tensor<float, 3> plain_gradient(E& e, const sparse::neighbour_table& n, const gradient_case<X>& c, idx tiles) {
  const auto input = to_host(e, n.input);
  auto dw = make_tensor<float, 3>({n.taps, c.depth, c.groups * c.columns}, 0.0f);
  const auto rounded = [](X v) { return Words::value(Words::of(static_cast<float>(v), 0), 0); };
  for (idx tap = 0; tap < n.taps; ++tap) {
    for (idx k = 0; k < c.depth; ++k) {
      for (idx j = 0; j < c.groups * c.columns; ++j) {
        float& total = dw(c.flipped ? n.taps - 1 - tap : tap, k, j);
        for (idx first = 0; first < n.outputs; first += 64 * tiles) {
          float sum = 0;
          for (idx at = first; at < std::min(first + 64 * tiles, n.outputs); ++at) {
            const std::int32_t in = input(tap, at);
            if (in < 0) { continue; }
            const idx row = n.order ? to_host(e, n.order)(at) : at;
            sum += rounded(c.x(in, j / c.columns * c.depth + k)) * rounded(c.d(row, j));
          }
          total += sum;
        }
      }
    }
  }
  return dw;
}

/// The kernel with ranges of so many tiles; `run(kernel, threads)` launches it.
template <class Words, class X, class Run> tensor<float, 3> gradient(emulator::gpu& e, const sparse::neighbour_table& n,
                                                                     const gradient_case<X>& c, idx tiles, Run&& run) {
  const gradient_ranges ranges{(n.tiles() + tiles - 1) / tiles, tiles};
  const auto dx = to_device(e, c.x), dd = to_device(e, c.d);
  const auto x = rows_of_words<Words>::of(e, dx, c.groups), d = rows_of_words<Words>::of(e, dd, c.groups);
  const idx elements = n.taps * c.depth * c.groups * c.columns;
  auto partial = empty<float, 2>(e, {ranges.count, elements});
  auto dw = empty<float, 3>(e, {n.taps, c.depth, c.groups * c.columns});
  run(mma_weight_gradient_kernel<Words>{n.packed(c.flipped), x.data, d.data, x.pieces(c.groups), d.pieces(c.groups),
                                        c.groups, c.depth, c.columns, ranges, partial.data()});
  launch(e, grid_blocks(elements), grid_threads,
         ordered_sum_kernel<float>{partial.data(), ranges.count, elements, dw.data()});
  return to_host(e, dw);
}
template <class Words, class X>
void expect_plain_gradient(emulator::gpu& e, const sparse::neighbour_table& n, const gradient_case<X>& c, idx tiles) {
  const auto run = [&](const auto& k) { launch(e, k.blocks(), k.most_threads, k); };
  EXPECT_TRUE(same_bits(gradient<Words>(e, n, c, tiles, run), plain_gradient<Words>(e, n, c, tiles)))
      << c.groups << " groups of " << c.depth << " to " << c.columns << ", " << sizeof(X) << " bytes";
}
sparse::neighbour_table table_of(emulator::gpu& e, int rows) {
  const auto at = as_tensor(random_cells{4}.draw(rows, 2, {7, 7, 7}), 3);
  const auto s = sparse::make_device_sites<3>(e, to_device(e, at), {7, 7, 7}, 2);
  return sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 1, 3>{}).forward;
}

TEST(cuda_mma_gradient, has_the_bits_of_the_plain_sums) {
  emulator::gpu e{.seed = 1};
  const auto n = table_of(e, 200); // four tiles, the last is not full
  expect_plain_gradient<bfloat16_words>(e, n, gradient_case<bfloat16>{n, 1, 24, 72}, 2); // rows as they lie
  expect_plain_gradient<float16_words>(e, n, gradient_case<float16>{n, 1, 70, 9}, 4);    // rows are copied
  expect_plain_gradient<tf32_words>(e, n, gradient_case<float>{n, 1, 20, 66}, 3);
  expect_plain_gradient<bfloat16_words>(e, n, gradient_case<float>{n, 3, 5, 7, true}, 1);
  expect_plain_gradient<tf32_words>(e, n, gradient_case<float>{n, 2, 1, 1}, 2);
}

TEST(cuda_mma_gradient, of_sorted_outputs_takes_the_rows_they_are) {
  emulator::gpu e{.seed = 2};
  const auto n = sparse::detail::sorted_by_taps(e, table_of(e, 90));
  expect_plain_gradient<float16_words>(e, n, gradient_case<float16>{n, 1, 8, 16}, 1);
}

TEST(cuda_mma_gradient, looks_at_more_tiles_than_a_warp_has_lanes) {
  emulator::gpu e{.seed = 3};
  const auto at = as_tensor(random_cells{5}.draw(2200, 1, {40, 40, 40}), 3); // 35 tiles, many without the tap
  const auto s = sparse::make_device_sites<3>(e, to_device(e, at), {40, 40, 40});
  const auto n = sparse::make_device_submanifold_plan<3>(e, s, sparse::taps<3, 1, 1>{}).forward;
  expect_plain_gradient<bfloat16_words>(e, n, gradient_case<bfloat16>{n, 1, 8, 8}, 40);
}

TEST(cuda_mma_gradient, planted_faults_are_found) {
  emulator::gpu e{.seed = 1};
  const auto n = table_of(e, 250);
  const gradient_case<bfloat16> c{n, 1, 24, 16};
  const auto right = plain_gradient<bfloat16_words>(e, n, c, 4);
  const auto found = [&](fault what, int nth = 0) {
    const auto run = [&](const auto& k) { launch_hastily(e, k, k.blocks(), k.most_threads, what, nth); };
    try {
      return !same_bits(gradient<bfloat16_words>(e, n, c, 4, run), right);
    } catch (const precondition_error&) { return true; }
  };
  EXPECT_FALSE(found(fault::none));
  EXPECT_TRUE(found(fault::late_copies));
  EXPECT_TRUE(found(fault::no_commit));
  EXPECT_TRUE(found(fault::rows_that_are_not_there));
  for (const int nth : {0, 1, 2, 3}) { EXPECT_TRUE(found(fault::no_barrier, nth)) << nth; }
}

} // namespace cuda_mma_gradient_test
