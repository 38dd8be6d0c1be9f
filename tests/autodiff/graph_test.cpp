// SPDX-License-Identifier: Apache-2.0
// The graphs: accumulation, moves, pauses, errors, allocation-free repeats, reflected names, the gradient checker itself.
#include "../support/check.hpp"

#include <sqs/core/reflect_hana.hpp>
#include <sqs/nn/activation.hpp>
#include <sqs/nn/mlp.hpp>

namespace graph_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

struct square_op {
  double slope = 2; // the right slope; a test plants a wrong one
  template <class T> struct saved { tensor<T, 1> x; };
  template <class T> auto forward(cpu& e, const tensor<T, 1>& x) const {
    auto y = empty<T, 1>(e, x.shape());
    for (idx i = 0; i < x.size(); ++i) { y(i) = x(i) * x(i); }
    return result{std::move(y), saved<T>{x}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 1>& dy) const {
    auto dx = empty<T, 1>(e, dy.shape());
    for (idx i = 0; i < dy.size(); ++i) { dx(i) = T(slope) * s.x(i) * dy(i); }
    return dx;
  }
};
struct sum_op {
  struct saved {
    idx n;
  };
  template <class T> auto forward(cpu& e, const tensor<T, 1>& x) const {
    auto y = zeros<T, 0>(e, {});
    for (const T v : x) { *y.data() += v; }
    return result{std::move(y), saved{x.size()}};
  }
  template <class T> auto backward(cpu& e, const saved& s, const tensor<T, 0>& dy) const {
    return full<T, 1>(e, {s.n}, *dy.data());
  }
};
// Two outputs of which one is an integer tensor.
struct halves_op {
  struct saved {};
  template <class T> auto forward(cpu& e, const tensor<T, 1>& x) const {
    auto a = empty<T, 1>(e, x.shape()), b = empty<T, 1>(e, x.shape());
    auto order = zeros<std::int32_t, 1>(e, x.shape());
    for (idx i = 0; i < x.size(); ++i) {
      a(i) = x(i) / 2;
      b(i) = 3 * x(i);
      order(i) = static_cast<std::int32_t>(i);
    }
    return result{std::tuple{a, order, b}, saved{}};
  }
  template <class T> auto backward(cpu& e, const saved&, const tensor<T, 1>& da, const tensor<T, 1>& db) const {
    auto dx = empty<T, 1>(e, da.shape());
    for (idx i = 0; i < da.size(); ++i) { dx(i) = da(i) / 2 + 3 * db(i); }
    return dx;
  }
};

tensor<double, 1> numbers(std::vector<double> v) {
  auto t = make_tensor<double, 1>({static_cast<idx>(v.size())});
  std::copy(v.begin(), v.end(), t.begin());
  return t;
}

TEST(graph, shared_gradients_do_not_corrupt_siblings) {
  cpu e{.threads = 1};
  training_graph g{e};
  // add returns (dy, dy): adding in place into one would change the other. u = f(a); y = a + b; loss = sum(u + y).
  auto a = g.leaf(numbers({1, 2})), b = g.leaf(numbers({5, 6}));
  auto u = sqs::apply(g, square_op{}, a);
  auto y = nn::add(g, a, b);
  g.backward(sqs::apply(g, sum_op{}, nn::add(g, std::move(u), std::move(y))));
  EXPECT_EQ(g.gradient(a)(0), 3); // 2 * 1 + 1
  EXPECT_EQ(g.gradient(a)(1), 5);
  EXPECT_EQ(g.gradient(b)(0), 1);
  EXPECT_EQ(g.gradient(b)(1), 1);
}

TEST(graph, several_outputs_and_unused_ones) {
  cpu e{.threads = 1};
  {
    training_graph g{e};
    auto x = g.leaf(numbers({1, 2}));
    auto [half, order, triple] = sqs::apply(g, halves_op{}, x);
    static_assert(std::is_same_v<decltype(order), tensor<std::int32_t, 1>>);
    EXPECT_EQ(order(1), 1);
    g.backward(sqs::apply(g, sum_op{}, half)); // `triple` is used by nobody: its gradient is zero
    EXPECT_EQ(g.gradient(x)(0), 0.5);
  }
  training_graph g{e};
  auto x = g.leaf(numbers({1, 2}));
  auto [half, order, triple] = sqs::apply(g, halves_op{}, x);
  g.backward(sqs::apply(g, sum_op{}, nn::add(g, half, triple)));
  EXPECT_EQ(g.gradient(x)(0), 3.5);
}

TEST(graph, pause_constants_and_stop_gradient_record_nothing) {
  cpu e{.threads = 1};
  training_graph g{e};
  auto x = g.leaf(numbers({3}));
  {
    training_graph<cpu>::pause p(g);
    EXPECT_EQ(sqs::apply(g, square_op{}, x).slot(), -1);
  }
  EXPECT_EQ(sqs::apply(g, square_op{}, g.input(numbers({3}))).slot(), -1);
  EXPECT_EQ(sqs::apply(g, square_op{}, stop_gradient(g, x)).slot(), -1);
  EXPECT_GE(sqs::apply(g, square_op{}, x).slot(), 0);
  parameter<double, 1> frozen{numbers({2}), {}, false};
  EXPECT_EQ(sqs::apply(g, square_op{}, frozen).slot(), -1);
}

TEST(graph, misuse_has_its_sentence) {
  cpu e{.threads = 1};
  training_graph g{e};
  auto x = g.leaf(numbers({1}));
  auto y = std::move(x);
  EXPECT_THAT(message_of([&] { sqs::apply(g, square_op{}, x); }),
              HasSubstr("an input variable is empty: it was moved from earlier"));
  EXPECT_THAT(message_of([&] { training_graph second{e}; }), HasSubstr("already records a training graph"));
  EXPECT_THAT(message_of([&] { g.backward(sqs::apply(g, sum_op{}, g.input(numbers({1})))); }),
              HasSubstr("depends on no parameter or leaf"));
}

TEST(graph, a_variable_of_an_earlier_graph_is_refused) {
  cpu e{.threads = 1};
  variable<training_graph<cpu>, double, 1> kept;
  {
    training_graph g{e};
    kept = g.leaf(numbers({1}));
  }
  training_graph g{e};
  EXPECT_THAT(message_of([&] { sqs::apply(g, square_op{}, kept); }),
              HasSubstr("variable of another or an earlier graph"));
}

TEST(graph, memory_falls_back_and_steps_take_nothing_from_the_system) {
  cpu e{.threads = 2};
  initializer init(1);
  const auto m = nn::asymmetric_feed_forward<float>::make(8, 32, 8, 0.1, init);
  const auto x = random_float<2>({100, 8}, 2);
  std::int64_t takes = 0;
  for (int step = 0; step < 20; ++step) {
    training_graph g{e};
    auto y = m(g, g.input(x), random_stream::of(1, step));
    auto flat = g.input(y.value().reshaped<1>({800}));
    (void)flat;
    struct total_op {
      struct saved {
        extents<2> s;
      };
      auto forward(cpu& x2, const tensor<float, 2>& v) const {
        auto r = zeros<float, 0>(x2, {});
        for (const float q : v) { *r.data() += q; }
        return result{std::move(r), saved{v.shape()}};
      }
      auto backward(cpu& x2, const saved& s, const tensor<float, 0>& d) const {
        return full<float, 2>(x2, s.s, *d.data());
      }
    };
    g.backward(sqs::apply(g, total_op{}, std::move(y)));
    if (step == 1) { takes = e.memory().statistics().takes; }
  }
  EXPECT_EQ(e.memory().statistics().takes, takes);
  EXPECT_EQ(e.memory().statistics().live, 0u);
}

struct inner {
  parameter<double, 1> w;
  int setting = 3;
  SQS_MEMBERS(inner, w, setting)
};
struct outer {
  inner first;
  std::vector<inner> list;
  state<double, 1> mean;
  SQS_MEMBERS(outer, first, list, mean)
};

TEST(reflect, names_counts_and_hana) {
  outer m{{{numbers({1, 2}), {}}, 1}, {{{numbers({3}), {}}, 1}, {{numbers({4}), {}, false}, 1}}, {numbers({0})}};
  std::vector<std::string> names;
  for_each_tensor(m, [&](const std::string& n, auto&) { names.push_back(n); });
  EXPECT_EQ(names, (std::vector<std::string>{"first.w", "list.0.w", "list.1.w", "mean"}));
  EXPECT_EQ(parameter_count(m), 3); // the frozen one does not count
  EXPECT_THAT(summary(m), HasSubstr("list.1.w [1]\n"));
  std::string joined;
  boost::hana::for_each(boost::hana::accessors<outer>(),
                        [&](auto pair) { joined += std::string(boost::hana::first(pair)) + ' '; });
  EXPECT_EQ(joined, "first list mean ");
  static_assert(member_count<outer> == 3);
}

TEST(check_gradient, not_a_number_is_an_error) {
  cpu e{.threads = 1};
  auto x = numbers({1, -2, 3});
  EXPECT_TRUE(std::isinf(check_gradient(e, square_op{.slope = std::nan("")}, x).worst));
}

TEST(graph, a_throw_in_backward_leaks_nothing) {
  cpu e{.threads = 1};
  struct failing_op {
    struct saved {
      tensor<double, 1> x;
    };
    auto forward(cpu& exec, const tensor<double, 1>& x) const {
      auto y = empty<double, 1>(exec, x.shape());
      std::copy(x.begin(), x.end(), y.begin());
      return result{y, saved{y}};
    }
    tensor<double, 1> backward(cpu&, const saved&, const tensor<double, 1>&) const { raise<error>("planted"); }
  };
  for (int k = 0; k < 3; ++k) {
    training_graph g{e};
    auto x = g.leaf(numbers({1, 2}));
    EXPECT_EQ(message_of([&] { g.backward(sqs::apply(g, sum_op{}, sqs::apply(g, failing_op{}, x))); }), "planted");
  }
  EXPECT_EQ(e.memory().statistics().live, 0u);
}

TEST(check_gradient, finds_a_wrong_slope_and_accepts_the_right_one) {
  cpu e{.threads = 1};
  auto x = numbers({1, -2, 3});
  EXPECT_LE(check_gradient(e, square_op{}, x).worst, 1e-9);
  const auto r = check_gradient(e, square_op{.slope = 2.00002}, x);
  EXPECT_NEAR(r.worst, 1e-5, 1e-6);
  EXPECT_THAT(r.where, HasSubstr("input 0["));
  EXPECT_LE(check_gradient(e, halves_op{}, x).worst, 1e-9);
  EXPECT_EQ(x(1), -2); // restored
}

} // namespace graph_test
