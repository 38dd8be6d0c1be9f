// SPDX-License-Identifier: Apache-2.0
// Costs: a plan counted by hand, tiles against a plain count, sums, the padding of a real frame.
#include "../support/check.hpp"
#include "pairs_oracle.hpp"

#include <sqs/sparse/cost.hpp>
#include <sqs/sparse/plan_builder.hpp>
#include <sqs/sparse/voxelize.hpp>
#include <sqs/tensor/npz.hpp>

#include <set>

namespace cost_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(cost, by_hand) {
  // Four outputs in the order 2, 0, 3, 1; two taps. Tap 0 has outputs 2 and 1, tap 1 has 0 only.
  cpu e{.threads = 2};
  const std::vector<pair> pairs{{0, 0, 2}, {0, 1, 1}, {1, 2, 0}};
  sparse::convolution_plan plan{lists_of(pairs, 3, 4, 2, 4, {2, 0, 3, 1}), {}, false};
  const auto of = [&](idx rows, idx groups) { return sparse::cost_of(e, plan, 6, 10, {groups, rows, 2}); };
  EXPECT_EQ(of(2, 1).macs, 3 * 60);
  EXPECT_EQ(of(2, 1).useful_flop, 2 * 3 * 60);
  EXPECT_EQ(of(2, 2).macs, 3 * 30);
  // Tiles {2, 0} and {3, 1}: tap 0 is in both, tap 1 in the first: 3 tiles of 2 rows.
  EXPECT_EQ(of(2, 1).padded_flop, 2 * 6 * 60);
  EXPECT_EQ(of(2, 1).padding(), 2);
  EXPECT_EQ(of(1, 1).padding(), 1);
  EXPECT_EQ(of(4, 1).padded_flop, 2 * 2 * 4 * 60);
  EXPECT_EQ(of(3, 1).padded_flop, 2 * 3 * 3 * 60); // {2, 0, 3} and {1}, which counts as a whole tile
  // (3 x 6 + 4 x 10 + 2 x 6 x 10) x 2 bytes, 3 offsets of 8, 6 rows of pairs and 4 of the order of 4.
  EXPECT_EQ(of(2, 1).bytes, 178 * 2 + 3 * 8 + 10 * 4);
  EXPECT_EQ(of(2, 1).gathered_bytes, 3 * 6 * 2);
  const auto both = of(2, 1) + of(2, 2);
  EXPECT_EQ(both.macs, 3 * 90);
  EXPECT_EQ(both.padding(), 2);
  EXPECT_EQ(both.pairs, 6);
}

TEST(cost, padding_is_a_count_of_tiles) {
  cpu e{.threads = 2};
  const auto s = random_stream::of(3);
  std::vector<pair> pairs;
  std::vector<std::int32_t> order(500);
  for (std::int32_t i = 0; i < 500; ++i) { order[static_cast<std::size_t>(i)] = (i * 7 + 3) % 500; }
  for (idx i = 0; i < 2000; ++i) {
    const auto draw = [&](idx k, idx most) {
      return static_cast<std::int32_t>(s.uniform(3 * i + k) * static_cast<double>(most));
    };
    pairs.push_back({draw(0, 27), draw(1, 500), draw(2, 500)});
  }
  for (const idx tile : {64, 96}) {
    for (const idx rows : {1, 16, 100, 128, 1000}) {
      std::set<std::pair<idx, idx>> tiles; // place / rows, tap
      for (const auto& p : pairs) {
        const auto place = std::find(order.begin(), order.end(), p.output) - order.begin();
        tiles.insert({place / rows, p.tap});
      }
      const sparse::convolution_plan plan{lists_of(pairs, 500, 500, 27, tile, order), {}, false};
      EXPECT_EQ(sparse::cost_of(e, plan, 1, 1, {1, rows}).padded_flop,
                2.0 * static_cast<double>(static_cast<idx>(tiles.size()) * rows));
    }
  }
}

TEST(cost, padding_of_a_real_frame_is_the_published_one) {
  // In lexicographic order.
  const char* given = std::getenv("SQS_DATA_DIR");
  const auto path =
      std::filesystem::path(given != nullptr ? given : SQS_TEST_DATA_DIR) / "spconv-benchmark-frame/benchmark-pc.npz";
  if (!std::filesystem::exists(path)) { GTEST_SKIP() << path << " is absent"; }
  cpu e{.threads = 2};
  const auto cloud = to_tensor<float, 2>(read_npz(path).at("pc"), "pc");
  const sparse::voxel_grid<double, 3> box{{-80, -80, -2}, {80, 80, 6}, {0.1, 0.1, 0.1}};
  const auto v = sparse::voxelize(e, persistent_copy<double>(cloud), box);
  const auto plan = sparse::make_submanifold_plan(e, v.at, sparse::taps<3, 3, 3>{});
  for (const auto& [rows, padding] : {std::pair<idx, double>{16, 3.42}, {32, 3.94}, {64, 4.17}, {128, 4.25}}) {
    EXPECT_NEAR(sparse::cost_of(e, plan, 64, 64, {1, rows}).padding(), padding, 0.005);
  }
  EXPECT_EQ(sparse::cost_of(e, plan, 64, 64).macs, 788961.0 * 64 * 64);
}

TEST(cost, of_nothing_and_errors) {
  cpu e{.threads = 1};
  const sparse::convolution_plan none{lists_of({}, 0, 0, 27, 4), {}, false};
  const auto c = sparse::cost_of(e, none, 4, 4);
  EXPECT_EQ(c.padded_flop, 0);
  EXPECT_EQ(c.padding(), 1);
  EXPECT_THAT(message_of([&] { sparse::cost_of(e, none, 4, 6, {4}); }),
              HasSubstr("sqs::sparse::cost_of: 4 groups of 4 to 6 channels in tiles of 128 rows; groups must divide"));
}

} // namespace cost_test
