// SPDX-License-Identifier: Apache-2.0
#include <sqs/data/loader.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace loader_test {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Sample i has the token "i"; sample `bad` fails as a broken file does.
struct counting_set {
  sqs::idx n = 0, bad = -1;
  sqs::idx size() const { return n; }
  sqs::sample sample(sqs::idx i) const {
    if (i == bad) { sqs::raise<sqs::file_error>("sqs::decode_jpeg: cam/", i, ".jpg cannot be decoded"); }
    sqs::sample s;
    s.token = std::to_string(i);
    return s;
  }
};

std::vector<std::string> tokens(const counting_set& set, const sqs::loader_options& o, int count) {
  sqs::loader l(set, o);
  std::vector<std::string> out;
  for (int k = 0; k < count; ++k) { out.push_back(l.next().token); }
  return out;
}

TEST(loader, a_shuffle_is_a_permutation_of_its_own_for_each_seed_and_epoch) {
  for (const sqs::idx n : {1, 2, 3, 4, 5, 16, 17, 1000}) {
    std::set<sqs::idx> seen;
    for (sqs::idx i = 0; i < n; ++i) { seen.insert(sqs::shuffled(7, 3, i, n)); }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(n));
    EXPECT_EQ(*seen.begin(), 0);
    EXPECT_EQ(*seen.rbegin(), n - 1);
  }
  int same_epoch = 0, same_seed = 0, fixed = 0;
  for (sqs::idx i = 0; i < 1000; ++i) {
    same_epoch += sqs::shuffled(7, 3, i, 1000) == sqs::shuffled(7, 4, i, 1000);
    same_seed += sqs::shuffled(7, 3, i, 1000) == sqs::shuffled(8, 3, i, 1000);
    fixed += sqs::shuffled(7, 3, i, 1000) == i;
  }
  // One expected by chance; ten or more has a probability of 1e-7.
  EXPECT_LT(same_epoch, 10);
  EXPECT_LT(same_seed, 10);
  EXPECT_LT(fixed, 10);
  EXPECT_THROW(sqs::shuffled(0, 0, 5, 5), sqs::precondition_error);
}

TEST(loader, the_shuffle_is_fair) {
  // Where does index 0 land? Over 4000 epochs each of 8 places should come up about 500 times (sigma 21).
  std::array<int, 8> count{};
  for (sqs::idx epoch = 0; epoch < 4000; ++epoch) { ++count[static_cast<std::size_t>(sqs::shuffled(1, epoch, 0, 8))]; }
  for (const int c : count) { EXPECT_NEAR(c, 500, 105); }
}

TEST(loader, every_epoch_visits_every_sample_once) {
  const auto t = tokens({.n = 10}, {.seed = 5}, 30);
  for (int epoch = 0; epoch < 3; ++epoch) {
    EXPECT_EQ(std::set<std::string>(t.begin() + 10 * epoch, t.begin() + 10 * epoch + 10).size(), 10u);
  }
  EXPECT_FALSE(std::equal(t.begin(), t.begin() + 10, t.begin() + 10));
  EXPECT_EQ(tokens({.n = 3}, {.shuffle = false}, 5), (std::vector<std::string>{"0", "1", "2", "0", "1"}));
}

TEST(loader, resumes_at_any_step) {
  const auto all = tokens({.n = 10}, {.seed = 5}, 40);
  for (const int first : {0, 1, 9, 10, 23}) {
    const auto rest = tokens({.n = 10}, {.seed = 5, .first_step = first}, 40 - first);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), all.begin() + first)) << first;
  }
}

TEST(loader, prepares_items_with_their_position) {
  const counting_set set{.n = 4};
  sqs::loader l(set, {.seed = 2, .first_step = 6},
                [](const sqs::sample& s, sqs::loader_position p) { return std::pair(s.token, p); });
  EXPECT_EQ(l.step(), 6);
  const auto [token, p] = l.next();
  EXPECT_EQ(l.step(), 7);
  EXPECT_EQ(p.step, 6);
  EXPECT_EQ(p.epoch, 1);
  EXPECT_EQ(token, std::to_string(sqs::shuffled(2, 1, 2, 4)));
}

TEST(loader, a_broken_sample_is_reported_at_its_step_and_the_next_call_goes_on) {
  const counting_set set{.n = 5, .bad = 2};
  sqs::loader l(set, {.shuffle = false});
  EXPECT_EQ(l.next().token, "0");
  EXPECT_EQ(l.next().token, "1");
  EXPECT_THAT([&] { l.next(); }, ThrowsMessage<sqs::file_error>(HasSubstr("cam/2.jpg cannot be decoded")));
  EXPECT_EQ(l.next().token, "3");
}

/// Every third sample is broken.
struct holed_set {
  sqs::idx n = 0;
  sqs::idx size() const { return n; }
  sqs::sample sample(sqs::idx i) const {
    if (i % 3 == 2) { sqs::raise<sqs::file_error>("sqs::decode_jpeg: cam/", i, ".jpg cannot be decoded"); }
    sqs::sample s;
    s.token = std::to_string(i);
    return s;
  }
};

TEST(loader, broken_samples_are_replaced_and_reported_once) {
  const holed_set set{.n = 9};
  std::vector<std::string> reports;
  const sqs::loader_options o{.shuffle = false, .corrupt = sqs::corrupt_policy::replace, .report = [&](const auto& c) {
                                reports.push_back(sqs::concat(c.index, " at ", c.step, ": ", c.message));
                              }};
  sqs::loader l(set, o);
  std::vector<std::string> all;
  for (int k = 0; k < 18; ++k) { all.push_back(l.next().token); }
  // Steps 2, 5, 8 get the following sample, the last of an epoch its first.
  EXPECT_EQ(all, (std::vector<std::string>{"0", "1", "3", "3", "4", "6", "6", "7", "0", "0", "1", "3", "3", "4", "6",
                                           "6", "7", "0"}));
  EXPECT_EQ(reports, (std::vector<std::string>{"2 at 2: sqs::decode_jpeg: cam/2.jpg cannot be decoded",
                                               "5 at 5: sqs::decode_jpeg: cam/5.jpg cannot be decoded",
                                               "8 at 8: sqs::decode_jpeg: cam/8.jpg cannot be decoded"}));
  ASSERT_EQ(l.corrupt_samples().size(), 3u);
  EXPECT_EQ(l.corrupt_samples()[2].index, 8);
}

TEST(loader, a_resumed_run_replaces_the_same) {
  const holed_set set{.n = 20};
  const auto run = [&](sqs::idx first) {
    sqs::loader l(set, {.seed = 4, .first_step = first, .threads = 2, .corrupt = sqs::corrupt_policy::replace});
    std::vector<std::string> out;
    for (sqs::idx k = first; k < 60; ++k) { out.push_back(l.next().token); }
    return out;
  };
  const auto all = run(0);
  for (const int first : {1, 7, 19, 20, 41}) {
    const auto rest = run(first);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), all.begin() + first)) << first;
  }
}

TEST(loader, too_many_broken_samples_stop) {
  const holed_set set{.n = 9};
  sqs::loader l(set, {.shuffle = false, .corrupt = sqs::corrupt_policy::replace, .most_corrupt = 1});
  for (int k = 0; k < 5; ++k) { l.next(); }
  EXPECT_THAT([&] { l.next(); },
              ThrowsMessage<sqs::file_error>(HasSubstr("sqs::loader: 2 samples could not be read, more than the 1 of "
                                                       "loader_options::most_corrupt; the last: sqs::decode_jpeg")));
  EXPECT_EQ(l.next().token, "6");
  const counting_set one{.n = 1, .bad = 0};
  sqs::loader none(one, {.corrupt = sqs::corrupt_policy::replace});
  EXPECT_THAT([&] { none.next(); }, ThrowsMessage<sqs::file_error>(HasSubstr("cam/0.jpg cannot be decoded")));
}

/// Fails as a programme does, not as a file.
struct wrong_set {
  sqs::idx size() const { return 2; }
  sqs::sample sample(sqs::idx) const { sqs::raise<sqs::precondition_error>("wrong call"); }
};

TEST(loader, only_files_are_replaced) {
  const wrong_set set;
  sqs::loader l(set, {.corrupt = sqs::corrupt_policy::replace});
  EXPECT_THROW(l.next(), sqs::precondition_error);
}

TEST(loader, misuse_is_explained) {
  const counting_set none, one{.n = 1};
  EXPECT_THAT([&] { sqs::loader l(none, {}); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("the data set is empty")));
  EXPECT_THAT([&] { sqs::loader l(one, {.threads = 0}); },
              ThrowsMessage<sqs::precondition_error>(HasSubstr("first_step 0, threads 0, capacity 3")));
  EXPECT_THROW(sqs::loader(one, {.capacity = 0}), sqs::precondition_error);
  EXPECT_THROW(sqs::loader(one, {.first_step = -1}), sqs::precondition_error);
}

} // namespace loader_test
