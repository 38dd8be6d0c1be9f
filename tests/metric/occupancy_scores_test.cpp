// SPDX-License-Identifier: Apache-2.0
// Occupancy protocols by hand and against a slow second implementation; the means of published tables.
#include "../support/check.hpp"

#include <sqs/metric/occupancy_scores.hpp>

namespace occupancy_scores_test {

using namespace sqs;
using namespace sqs::metric;
using testing::HasSubstr;
using voxels = std::vector<std::uint8_t>;

confusion_counts counted(const occupancy_protocol& p, const voxels& truth, const voxels& found,
                         const voxels& mask = {}) {
  cpu exec{.threads = 1};
  auto c = make_counts(p);
  add_voxels(exec, c, truth, found, mask);
  return c;
}

TEST(occupancy, occ3d_by_hand) {
  //                   car          truck     free       ignored, masked
  const voxels truth{4, 4, 4, 10, 10, 17, 17, 17, 255, 4}, found{4, 4, 17, 4, 10, 17, 17, 0, 4, 0};
  const voxels mask{1, 1, 1, 1, 1, 1, 1, 1, 1, 0};
  const auto s = score_occupancy(counted(occ3d_protocol, truth, found, mask), occ3d_protocol);
  EXPECT_DOUBLE_EQ(s.iou[4], 2.0 / 4);  // right 2, missed 1, wrong 1
  EXPECT_DOUBLE_EQ(s.iou[10], 1.0 / 2); // right 1, missed 1
  EXPECT_TRUE(std::isnan(s.iou[0]));    // predicted, not there: no part of the mean
  EXPECT_TRUE(std::isnan(s.iou[7]));
  EXPECT_DOUBLE_EQ(s.iou[17], 2.0 / 4);
  EXPECT_DOUBLE_EQ(s.miou, 0.5);
  EXPECT_DOUBLE_EQ(s.geometric_iou, 4.0 / 6); // occupied in both 4, only true 1, only predicted 1
  EXPECT_DOUBLE_EQ(s.precision, 4.0 / 5);
  EXPECT_DOUBLE_EQ(s.recall, 4.0 / 5);
}

TEST(occupancy, surround_occ_by_hand) {
  // True 0 is noise: neither its voxels nor what is predicted there count. A predicted 0 is occupied.
  const voxels truth{4, 4, 0, 0, 17, 17}, found{4, 0, 4, 17, 0, 17};
  const auto s = score_occupancy(counted(surround_occ_protocol, truth, found), surround_occ_protocol);
  EXPECT_DOUBLE_EQ(s.iou[4], 1.0 / 2);
  EXPECT_DOUBLE_EQ(s.iou[1], 1); // absent
  EXPECT_DOUBLE_EQ(s.miou, 15.5 / 16);
  EXPECT_DOUBLE_EQ(s.geometric_iou, 2.0 / 3);
  // The same with the noise marked as ignored: the labels of read_surround_occ.
  const voxels marked{4, 4, 255, 255, 17, 17};
  EXPECT_EQ(score_occupancy(counted(surround_occ_protocol, marked, found), surround_occ_protocol).iou, s.iou);
  // SurroundOcc's own numbers, free 0: of the same voxels the same means (a predicted noise is no class there: free).
  const voxels dense_truth{4, 4, 255, 255, 0, 0}, dense_found{4, 3, 4, 0, 3, 0}, same{4, 3, 4, 17, 3, 17};
  const auto& q = surround_occ_dense_protocol;
  const auto dense = score_occupancy(counted(q, dense_truth, dense_found), q);
  const auto sparse = score_occupancy(counted(surround_occ_protocol, marked, same), surround_occ_protocol);
  EXPECT_EQ(dense.miou, sparse.miou);
  EXPECT_EQ(dense.geometric_iou, sparse.geometric_iou);
}

TEST(occupancy, open_occupancy_by_hand) {
  const voxels truth{0, 0, 4, 4, 16, 255}, found{0, 4, 4, 0, 16, 4};
  const auto ours = score_occupancy(counted(open_occupancy_protocol, truth, found), open_occupancy_protocol);
  EXPECT_DOUBLE_EQ(ours.iou[4], 1.0 / 3);
  EXPECT_DOUBLE_EQ(ours.iou[16], 1);
  EXPECT_DOUBLE_EQ(ours.miou, (1.0 / 3 + 1) / 2); // absent and not predicted: left out
  EXPECT_DOUBLE_EQ(ours.geometric_iou, 2.0 / 4);
  // SparseOcc adds 1e-5 to each union: absent classes count 0.
  const auto& p = open_occupancy_sparse_occ_protocol;
  EXPECT_NEAR(score_occupancy(counted(p, truth, found), p).miou, (1 / 3.00001 + 1 / 1.00001) / 16, 1e-15);
  const auto& q = open_occupancy_one_device_protocol;
  EXPECT_NEAR(score_occupancy(counted(q, truth, found), q).miou, (1 / 3.00001 + 1 / 1.00001) / 19, 1e-15);
}

TEST(occupancy, predicted_where_absent_counts_zero_by_formula) {
  const auto& p = open_occupancy_protocol;
  const auto s = score_occupancy(counted(p, {1, 2}, {1, 3}), p);
  EXPECT_EQ(s.iou[3], 0);
  EXPECT_DOUBLE_EQ(s.miou, 1.0 / 3);
}

TEST(occupancy, equals_a_slow_count_for_any_number_of_threads_and_parts) {
  const auto draw = random_stream::of(3);
  voxels truth(200'001), found(truth.size()), mask(truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const auto n = static_cast<idx>(i);
    truth[i] = static_cast<std::uint8_t>(draw.uniform(3 * n, 0, 20)); // 18 and 19 are none of the classes
    found[i] = static_cast<std::uint8_t>(draw.uniform(3 * n + 1, 0, 18));
    mask[i] = draw.uniform(3 * n + 2, 0, 1) < 0.7 ? 2 : 0;
  }
  std::vector<std::int64_t> slow(18 * 18);
  for (std::size_t i = 0; i < truth.size(); ++i) {
    for (std::size_t t = 0; t < 18; ++t) {
      for (std::size_t p = 0; p < 18; ++p) {
        slow[t * 18 + p] += truth[i] == t && found[i] == p && mask[i] != 0 ? 1 : 0;
      }
    }
  }
  for (const int threads : {1, 2, 3}) {
    cpu exec{.threads = threads};
    auto whole = make_counts(occ3d_protocol), left = whole, right = whole;
    add_voxels(exec, whole, truth, found, mask);
    EXPECT_EQ(whole.count, slow);
    const auto part = [&](confusion_counts& c, std::size_t begin, std::size_t end) {
      const auto of = [&](const voxels& v) { return std::span(v).subspan(begin, end - begin); };
      add_voxels(exec, c, of(truth), of(found), of(mask));
    };
    part(left, 0, 70'000), part(right, 70'000, truth.size());
    left.merge(right);
    EXPECT_EQ(left.count, slow);
    EXPECT_EQ(left.samples, 2);
  }
}

TEST(occupancy, nothing_to_judge) {
  const auto s = score_occupancy(counted(occ3d_protocol, {255, 255}, {3, 17}), occ3d_protocol);
  EXPECT_TRUE(std::isnan(s.miou) && std::isnan(s.geometric_iou));
  EXPECT_TRUE(std::isnan(score_occupancy(counted(occ3d_protocol, {}, {}), occ3d_protocol).miou));
}

TEST(occupancy, says_what_is_wrong) {
  const auto& p = occ3d_protocol;
  EXPECT_THAT(test::message_of([&] { counted(p, {1, 2}, {1}); }), HasSubstr("2 true and 1 predicted voxels"));
  EXPECT_THAT(test::message_of([&] { counted(p, {1}, {18}); }), HasSubstr("class 18 is predicted where only 0 to 17"));
  EXPECT_EQ(test::message_of([&] { counted(p, {255}, {255}); }), "no error"); // where nothing counts, anything goes
  EXPECT_THAT(test::message_of([&] { score_occupancy(confusion_counts(17), p); }), HasSubstr("occ3d has 18"));
  EXPECT_THAT(test::message_of([&] { confusion_counts(17).merge(confusion_counts(18)); }), HasSubstr("one protocol"));
  occupancy_labels none = occupancy_labels::empty({{0, 0, 0}, {1, 1, 1}, {2, 1, 1}}, 17);
  cpu exec{.threads = 1};
  auto counts = make_counts(p);
  EXPECT_THAT(test::message_of([&] { add_voxels(exec, counts, none, none.semantics, occupancy_mask::camera); }),
              HasSubstr("0 mask values for 2 voxels"));
}

TEST(occupancy, forecasts) {
  std::array<confusion_counts, 4> counts{counted(occ3d_protocol, {4}, {17}), counted(occ3d_protocol, {4, 17}, {4, 17}),
                                         counted(occ3d_protocol, {4, 4}, {4, 3}),
                                         counted(occ3d_protocol, {4, 4}, {17, 17})};
  const auto s = score_forecast(counts);
  EXPECT_DOUBLE_EQ(s.at[1].miou, 1);
  EXPECT_DOUBLE_EQ(s.at[2].miou, 0.25); // car 1/2, and the bus that is not there 0
  EXPECT_DOUBLE_EQ(s.at[3].miou, 0);
  EXPECT_DOUBLE_EQ(s.miou, 1.25 / 3); // the present does not count
  EXPECT_DOUBLE_EQ(s.iou, (1 + 1 + 0) / 3.0);
  const auto w = score_forecast(counts, forecast_occ_world_protocol);
  EXPECT_DOUBLE_EQ(w.at[2].miou, (15 + 0.5) / 16); // absent classes count 1
  EXPECT_EQ(forecast_starts(12).size(), 0u);
  EXPECT_EQ(forecast_starts(14), (std::vector<std::size_t>{5, 6}));
}

// ------------------------------------------------------------------------------------------------- published tables
double mean(const std::vector<double>& x) { return metric::detail::mean(x); }

TEST(occupancy, published_rows_have_the_published_means) {
  // SurroundOcc val: GaussianFormer and with SQS; nuScenes-Occupancy and SemanticKITTI: SparseOcc.
  EXPECT_NEAR(mean({19.52, 11.26, 26.11, 29.78, 10.47, 13.83, 12.58, 8.67, 12.74, 21.57, 39.63, 23.28, 24.46, 22.99,
                    9.59, 19.12}),
              19.10, 0.005);
  EXPECT_NEAR(mean({19.98, 11.86, 28.21, 30.68, 10.87, 15.03, 14.28, 9.57, 14.74, 22.98, 39.82, 23.88, 25.46, 23.09,
                    14.56, 21.31}),
              20.395, 0.0005);
  EXPECT_NEAR(mean({16.1, 9.3, 15.1, 18.6, 7.3, 9.4, 11.2, 9.4, 7.2, 13.0, 31.8, 21.7, 20.7, 18.8, 6.1, 10.6}), 14.1,
              0.05);
  EXPECT_NEAR(mean({59.59, 29.68, 20.44, 0.47, 15.41, 24.03, 18.07, 0.78, 0.89, 8.94, 18.89, 3.46, 31.06, 3.68, 0.62, 0,
                    6.73, 3.89, 2.60}),
              13.12, 0.005);
}

} // namespace occupancy_scores_test
