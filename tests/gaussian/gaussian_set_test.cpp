// SPDX-License-Identifier: Apache-2.0
#include <sqs/exec/cpu.hpp>
#include <sqs/gaussian/gaussian_set.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace sqs;
using testing::ThrowsMessage;

namespace example {
struct velocity {
  static constexpr std::string_view name = "velocity";
  static constexpr int dim = 2;
  static constexpr bool blended = true;
  using map = attr::identity_map;
};
struct speed { // the name clashes with velocity's
  static constexpr std::string_view name = "velocity";
  static constexpr int dim = 1;
  static constexpr bool blended = false;
  using map = attr::identity_map;
};
struct nameless {
  static constexpr int dim = 1;
};
} // namespace example

namespace gaussian_set_test {

using namespace example;

using street =
    gaussian_set<attr::mean, attr::scale, attr::rgb, attr::rotation, velocity, attr::opacity, attr::feature<16>>;

static_assert(gaussian_attribute<velocity> && !gaussian_attribute<nameless>);
static_assert(street::dim == 3 + 3 + 3 + 4 + 2 + 1 + 16);
static_assert(street::channels == 3 + 2 + 16);
static_assert(street::channel_of<attr::rgb>() == 0 && street::channel_of<velocity>() == 3 &&
              street::channel_of<attr::feature<16>>() == 5);
static_assert(street::has<velocity> && !street::has<attr::feature<8>>);
static_assert(detail::names_differ<velocity, attr::mean>() && !detail::names_differ<velocity, attr::mean, speed>());
static_assert(detail::times_listed<velocity, velocity, attr::mean, velocity> == 2);

TEST(gaussian_set, holds_one_tensor_per_attribute) {
  cpu e{.threads = 1};
  auto set = street::zeros(e, 5);
  EXPECT_EQ(set.count(), 5);
  EXPECT_EQ(set.get<velocity>().extent(1), 2);
  set.get<velocity>()(4, 1) = 7;
  const street copy = set; // shares
  EXPECT_EQ(copy.get<velocity>()(4, 1), 7);
  std::vector<std::string> names;
  idx numbers = 0;
  copy.for_each_attribute([&](auto a, const tensor<float, 2>& x) {
    names.emplace_back(decltype(a)::name);
    numbers += x.size();
  });
  EXPECT_EQ(names, (std::vector<std::string>{"mean", "scale", "rgb", "rotation", "velocity", "opacity", "feature"}));
  EXPECT_EQ(numbers, 5 * street::dim);
}

TEST(gaussian_set, names_a_tensor_of_the_wrong_shape) {
  using small = gaussian_set<attr::mean, attr::opacity>;
  EXPECT_THAT(([] {
                small(make_tensor<float, 2>({4, 3}), make_tensor<float, 2>({3, 1}));
              }),
              ThrowsMessage<precondition_error>(
                  "sqs::gaussian_set: attribute opacity is [3, 1] but must be [4, 1]; give one row per mean"));
  EXPECT_THAT(([] {
                small(make_tensor<float, 2>({4, 2}), make_tensor<float, 2>({4, 1}));
              }),
              ThrowsMessage<precondition_error>(
                  "sqs::gaussian_set: attribute mean is [4, 2] but must be [4, 3]; give one row per mean"));
}

template <class Map> void expect_slope() {
  for (const double x : {-1.3, 0.2, 2.0}) {
    const double h = 1e-5, numeric = (Map::value(x + h) - Map::value(x - h)) / (2 * h);
    EXPECT_NEAR(Map::slope(x, Map::value(x)), numeric, 1e-8);
  }
}
TEST(attribute, maps_know_their_slopes) {
  expect_slope<attr::identity_map>();
  expect_slope<attr::exp_map>();
  expect_slope<attr::sigmoid_map>();
  EXPECT_DOUBLE_EQ(attr::exp_map::value(0.0), 1.0);
  EXPECT_DOUBLE_EQ(attr::sigmoid_map::value(0.0), 0.5);
}

} // namespace gaussian_set_test
