// SPDX-License-Identifier: Apache-2.0
// Key points, deformable aggregation, anchor maps: by hand, against a plain second implementation, and by gradient.
#include "../support/check.hpp"

#include <sqs/query/anchor_encoder.hpp>
#include <sqs/query/cross_attention.hpp>
#include <sqs/query/self_encoding.hpp>

#include <numbers>

namespace query_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

tensor<double, 2> random_anchors(idx n, const query::anchor_config& c, std::uint64_t seed) {
  auto a = random<2>({n, c.width()}, seed, 0.7);
  return a;
}

TEST(anchor, position_step_and_scale_by_hand) {
  query::anchor_config c;
  // From logit 0 the largest refinement moves x by 100 (sigmoid(0.16) - 0.5) = 3.99 m.
  EXPECT_NEAR(c.logit_step(0), 0.16, 1e-15);
  EXPECT_NEAR(query::decode_position(c, 0, c.logit_step(0)) - query::decode_position(c, 0, 0.0), 3.99149, 1e-5);
  EXPECT_NEAR(query::decode_scale(c, 0.0), 0.36, 1e-12);
  c.scale = query::scale_map::geometric;
  c.scale_min = 0.05, c.scale_max = 5;
  EXPECT_NEAR(query::decode_scale(c, 0.0), 0.5, 1e-12);
  EXPECT_LT(query::decode_position(c, 0, 100.0), 50.0); // the clamp keeps every mean inside the box
  EXPECT_EQ(query::position_slope(c, 0, 10.0), 0.0);
}

TEST(key_points, rotation_is_the_transpose_with_30_degrees_of_yaw) {
  cpu e{.threads = 1};
  query::anchor_config c;
  auto anchors = make_tensor<double, 2>({1, c.width()});
  const double half = std::numbers::pi / 12;
  anchors(0, 6) = std::cos(half), anchors(0, 9) = std::sin(half);
  anchors(0, 3) = logit((0.5 - 0.08) / 0.56); // scale 0.5 along x
  const auto p = query::key_points_op{c, 0}.forward(e, anchors, make_tensor<double, 2>({1, 0})).value;
  // +x maps to (cos 30, -sin 30, 0): R(q)^T, not R(q). An identity rotation would hide the difference.
  EXPECT_NEAR(p(0, 1, 0) - p(0, 0, 0), 0.45 * 0.5 * std::cos(2 * half), 1e-12);
  EXPECT_NEAR(p(0, 1, 1) - p(0, 0, 1), -0.45 * 0.5 * std::sin(2 * half), 1e-12);
  EXPECT_NEAR(p(0, 2, 0) + p(0, 1, 0), 2 * p(0, 0, 0), 1e-12);
}

TEST(key_points, gradient) {
  cpu e{.threads = 2};
  for (const auto map : {query::scale_map::linear, query::scale_map::geometric}) {
    query::anchor_config c;
    c.scale = map;
    auto a = random_anchors(5, c, 1), o = random<2>({5, 6}, 2);
    EXPECT_GRADIENT(check_gradient(e, query::key_points_op{c, 2}, a, o), 1e-6);
  }
  query::anchor_config c;
  EXPECT_THAT(message_of([&] {
                query::key_points_op{c, 2}.forward(e, random<2>({3, 9}, 1), random<2>({3, 6}, 1));
              }),
              HasSubstr("sqs::query::key_points: anchors are [3, 9]"));
}

// Two cameras that look along +y and +x of the reference frame, 60 x 40 pixels.
tensor<double, 3> two_views() {
  auto m = make_tensor<double, 3>({2, 4, 4});
  const double k[2][3][4] = {{{30, 30, 0, 5}, {0, 20, -30, 8}, {0, 1, 0, 0.2}},
                             {{30, -30, 0, 3}, {20, 0, -30, 2}, {1, 0, 0, 0.1}}};
  for (int v = 0; v < 2; ++v) {
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 4; ++c) { m(v, r, c) = k[v][r][c]; }
    }
    m(v, 3, 3) = 1;
  }
  return m;
}
tensor<double, 3> points_in_front(idx q, idx p, std::uint64_t seed) {
  auto x = random<3>({q, p, 3}, seed, 1.5);
  for (idx i = 0; i < q; ++i) {
    for (idx k = 0; k < p; ++k) {
      x(i, k, 0) += 4;
      x(i, k, 1) += 4;
    }
  }
  return x;
}

// The definition, written out: every (view, point, level) entry, one softmax per query and group, four taps by if.
tensor<double, 2> plain_aggregation(const query::deformable_aggregation_op<double>& op, const tensor<double, 3>& pts,
                                    const tensor<double, 2>& pl, const tensor<double, 2>& cl,
                                    const std::vector<tensor<double, 4>>& levels) {
  const idx q = pts.extent(0), np = pts.extent(1), c = levels[0].extent(3), nv = cl.extent(0),
            nl = static_cast<idx>(levels.size());
  auto out = make_tensor<double, 2>({q, c});
  for (idx i = 0; i < q; ++i) {
    for (idx ch = 0; ch < c; ++ch) {
      const idx g = ch / (c / op.groups);
      double total = 0, value = 0;
      for (idx v = 0; v < nv; ++v) {
        for (idx p = 0; p < np; ++p) {
          double h[3] = {};
          for (int r = 0; r < 3; ++r) {
            h[r] = op.projections(v, r, 3);
            for (int k = 0; k < 3; ++k) { h[r] += op.projections(v, r, k) * pts(i, p, k); }
          }
          if (h[2] <= 1e-5) { continue; }
          const double u = h[0] / h[2] / op.image_size.x, w = h[1] / h[2] / op.image_size.y;
          if (!(u > 0 && u < 1 && w > 0 && w < 1)) { continue; }
          for (idx l = 0; l < nl; ++l) {
            const auto& f = levels[static_cast<std::size_t>(l)];
            const double weight = std::exp(pl(i, (l * np + p) * op.groups + g) + cl(v, (l * np + p) * op.groups + g));
            double sample = 0;
            for (idx y = 0; y < f.extent(1); ++y) {
              for (idx x = 0; x < f.extent(2); ++x) {
                const double ax = 1 - std::abs(u * static_cast<double>(f.extent(2)) - 0.5 - static_cast<double>(x));
                const double ay = 1 - std::abs(w * static_cast<double>(f.extent(1)) - 0.5 - static_cast<double>(y));
                if (ax > 0 && ay > 0) { sample += ax * ay * f(v, y, x, ch); }
              }
            }
            total += weight;
            value += weight * sample;
          }
        }
      }
      out(i, ch) = total > 0 ? value / total : 0;
    }
  }
  return out;
}

struct aggregation_case {
  query::deformable_aggregation_op<double> op{two_views(), {60, 40}, 2, 0, {}};
  tensor<double, 3> points = points_in_front(6, 3, 11);
  tensor<double, 2> pl = random<2>({6, 2 * 3 * 2}, 12), cl = random<2>({2, 2 * 3 * 2}, 13);
  tensor<double, 4> a = random<4>({2, 5, 7, 4}, 14), b = random<4>({2, 3, 4, 4}, 15);
};

TEST(deformable_aggregation, equals_the_definition) {
  cpu e{.threads = 2};
  aggregation_case c;
  c.points(5, 0, 0) = c.points(5, 1, 0) = c.points(5, 2, 0) = -50; // behind one camera, beside the other
  c.points(5, 0, 1) = c.points(5, 1, 1) = c.points(5, 2, 1) = -50;
  const auto y = c.op.forward(e, c.points, c.pl, c.cl, c.a, c.b).value;
  const auto truth = plain_aggregation(c.op, c.points, c.pl, c.cl, {c.a, c.b});
  double most = 0;
  for (idx i = 0; i < y.size(); ++i) {
    EXPECT_NEAR(y.data()[i], truth.data()[i], 1e-12);
    most = std::max(most, std::abs(y.data()[i]));
  }
  EXPECT_GT(most, 0.1);
  for (idx ch = 0; ch < 4; ++ch) { EXPECT_EQ(y(5, ch), 0.0); } // seen by no view: exactly zero
}

TEST(deformable_aggregation, gradient) {
  cpu e{.threads = 2};
  aggregation_case c;
  EXPECT_GRADIENT(check_gradient(e, c.op, {.step = 1e-5}, c.points, c.pl, c.cl, c.a, c.b), 1e-6);
  c.op.drop = 0.3;
  c.op.stream = random_stream::of(5);
  EXPECT_GRADIENT(check_gradient(e, c.op, {.step = 1e-5}, c.points, c.pl, c.cl, c.a, c.b), 1e-6);
}

TEST(deformable_aggregation, constant_map_and_pixel_centre) {
  cpu e{.threads = 1};
  aggregation_case c;
  std::fill(c.a.begin(), c.a.end(), 1.0);
  auto one_level = random<2>({6, 6}, 1), one_camera = random<2>({2, 6}, 2);
  auto x = make_tensor<double, 3>({1, 1, 3});
  // u = (j + 1/2) / w returns pixel j exactly: an identity-like camera, image 7 x 5, level 7 x 5.
  auto m = make_tensor<double, 3>({1, 4, 4});
  m(0, 0, 0) = m(0, 1, 1) = m(0, 2, 2) = m(0, 3, 3) = 1;
  query::deformable_aggregation_op<double> op{m, {7, 5}, 2, 0, {}};
  x(0, 0, 0) = 2.5 * 2, x(0, 0, 1) = 3.5 * 2, x(0, 0, 2) = 2;
  auto level = random<4>({1, 5, 7, 4}, 3);
  const auto y = op.forward(e, x, make_tensor<double, 2>({1, 2}), make_tensor<double, 2>({1, 2}), level).value;
  for (idx ch = 0; ch < 4; ++ch) { EXPECT_NEAR(y(0, ch), level(0, 3, 2, ch), 1e-14); }
  EXPECT_THAT(message_of([&] {
                op.forward(e, x, make_tensor<double, 2>({1, 3}), make_tensor<double, 2>({1, 2}), level);
              }),
              HasSubstr("sqs::query::deformable_aggregation: point logits are [1, 3]"));
}

TEST(deformable_aggregation, bitwise_equal_for_1_2_4_threads) {
  std::vector<std::vector<float>> seen;
  for (const int threads : {1, 2, 4}) {
    cpu e{.threads = threads};
    const auto f = [](const auto& t) { return persistent_copy<float>(t); };
    query::deformable_aggregation_op<float> op{f(two_views()), {60, 40}, 2, 0, {}};
    const auto points = f(points_in_front(700, 3, 21));
    const auto pl = f(random<2>({700, 12}, 22)), cl = f(random<2>({2, 12}, 23));
    const auto a = f(random<4>({2, 5, 7, 4}, 24)), b = f(random<4>({2, 3, 4, 4}, 25));
    const auto [y, saved] = op.forward(e, points, pl, cl, a, b);
    std::vector<float> bits(y.begin(), y.end());
    std::apply([&](const auto&... d) { (bits.insert(bits.end(), d.begin(), d.end()), ...); }, op.backward(e, saved, y));
    seen.push_back(bits);
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[0], seen[2]);
}

struct probe {
  parameter<double, 2> anchors;
  query::anchor_encoder<double> encoder;
  SQS_MEMBERS(probe, anchors, encoder)
};
struct half_square {
  struct saved {
    tensor<double, 2> x;
  };
  auto forward(cpu& x, const tensor<double, 2>& y) const {
    double sum = 0;
    for (const double v : y) { sum += v * v / 2 + v * v * v; }
    return result{full<double, 0>(x, {}, sum), saved{y}};
  }
  auto backward(cpu& x, const saved& s, const tensor<double, 0>& d) const {
    auto y = empty<double, 2>(x, s.x.shape());
    for (idx i = 0; i < y.size(); ++i) {
      const double v = s.x.data()[i];
      y.data()[i] = *d.data() * (v + 3 * v * v);
    }
    return y;
  }
};

TEST(anchor_encoder, gradient_of_the_whole_module) {
  cpu e{.threads = 2};
  initializer init(3);
  query::anchor_config c;
  probe m{{random_anchors(4, c, 5), {}}, query::anchor_encoder<double>::make(c, 8, init)};
  const auto r = check_model_gradient(e, m, {.step = 1e-6, .samples = 12}, [&](auto& g) {
    auto a = sqs::apply(g, nn::columns_op{0, c.width()}, m.anchors);
    return sqs::apply(g, half_square{}, m.encoder(g, std::move(a)));
  });
  EXPECT_GRADIENT(r, 1e-5);
}

TEST(self_encoding, voxels_are_truncated_metres) {
  cpu e{.threads = 1};
  query::anchor_config c;
  auto a = make_tensor<double, 2>({2, c.width()});
  a(1, 0) = 20, a(1, 1) = -20, a(1, 2) = 20; // at the clamps
  const auto v = query::voxelised_means(e, a, c, 0.5);
  EXPECT_EQ(v(0, 1), 100);
  EXPECT_EQ(v(0, 3), 8);
  EXPECT_EQ(v(1, 1), 199);
  EXPECT_EQ(v(1, 2), 0);
  EXPECT_EQ(v(1, 3), 15);
}

} // namespace query_test
