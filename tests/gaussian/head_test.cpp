// SPDX-License-Identifier: Apache-2.0
// The refinement rules and the decoding of anchors: by hand and by gradient.
#include "../support/check.hpp"

#include <sqs/gaussian/head.hpp>

namespace head_test {

using namespace sqs;
using namespace sqs::test;
using testing::HasSubstr;

TEST(refine, rules_by_hand) {
  cpu e{.threads = 1};
  query::anchor_config c;
  auto a = make_tensor<double, 2>({1, 14}, 0.3), raw = make_tensor<double, 2>({1, 14}, 2.0);
  raw(0, 0) = 100, raw(0, 1) = -100, raw(0, 2) = 0;
  auto gain = make_tensor<double, 1>({14}, 0.5);
  const auto y = gaussian::refine_op{c}.forward(e, a, raw, gain).value;
  EXPECT_NEAR(y(0, 0), 0.3 + 0.16 * (2 * safe_sigmoid(50.0) - 1), 1e-12); // bounded step
  EXPECT_NEAR(y(0, 1), 0.3 - 0.16 * (2 * safe_sigmoid(50.0) - 1), 1e-12);
  EXPECT_NEAR(y(0, 2), 0.3, 1e-15);
  EXPECT_NEAR(y(0, 3), 1.0, 1e-15);                                  // replaced
  for (int k = 6; k < 10; ++k) { EXPECT_NEAR(y(0, k), 0.5, 1e-15); } // (1,1,1,1) normalised
  EXPECT_NEAR(y(0, 10), 1.0, 1e-15);
}

TEST(refine, gradient) {
  cpu e{.threads = 2};
  query::anchor_config c;
  auto a = random<2>({300, 14}, 1), raw = random<2>({300, 14}, 2);
  auto gain = random<1>({14}, 3);
  EXPECT_GRADIENT(check_gradient(e, gaussian::refine_op{c}, {.samples = 300}, a, raw, gain), 1e-6);
  EXPECT_THAT(message_of([&] {
                gaussian::refine_op{c}.forward(e, a, random<2>({300, 13}, 1), gain);
              }),
              HasSubstr("sqs::gaussian::refine: anchors are [300, 14], raw [300, 13]"));
}

TEST(decode, gradient_and_conjugate) {
  cpu e{.threads = 2};
  for (const auto map : {query::scale_map::linear, query::scale_map::geometric}) {
    query::anchor_config c;
    c.scale = map;
    auto a = random<2>({7, 14}, 4);
    EXPECT_GRADIENT(check_gradient(e, gaussian::decode_op{c}, a), 1e-6);
  }
  auto a = make_tensor<double, 2>({1, 14});
  a(0, 6) = 0, a(0, 7) = 3, a(0, 9) = 4; // (0, .6, 0, .8) after normalisation
  const auto [means, scales, rotations, opacities, colours] = gaussian::decode_op{{}}.forward(e, a).value;
  EXPECT_NEAR(rotations(0, 1), -0.6, 1e-12);
  EXPECT_NEAR(rotations(0, 3), -0.8, 1e-12);
  EXPECT_NEAR(opacities(0), 0.5, 1e-15);
  EXPECT_NEAR(means(0, 2), -1, 1e-12);
  // What the rasterizer builds from the conjugate is what the key points use.
  const auto g = query::decode_geometry(query::anchor_config{}, &a(0, 0));
  const auto r =
      rotation_matrix(quaternion<double>{rotations(0, 0), rotations(0, 1), rotations(0, 2), rotations(0, 3)});
  for (int i = 0; i < 9; ++i) { EXPECT_NEAR(r.a[i], g.local_to_ref.a[i], 1e-12); }
}

} // namespace head_test
