// SPDX-License-Identifier: Apache-2.0
// Backbones by configuration: shapes and strides, both stride placements, frozen stages, the pyramid's extra level.
#include "../support/check.hpp"

#include <sqs/backbone/fpn.hpp>
#include <sqs/backbone/resnet.hpp>

namespace resnet_test {

using namespace sqs;
using namespace sqs::test;

template <backbone::resnet_config Config> auto run(cpu& e, idx height, idx width) {
  initializer init(1);
  const auto net = backbone::resnet<float, nn::frozen_batch_norm, Config>::make(init);
  inference_graph g{e};
  const auto levels = net(g, g.input(random_float<4>({2, height, width, 3}, 2))).levels;
  std::vector<extents<4>> shapes;
  for (const auto& l : levels) { shapes.push_back(l.shape()); }
  return shapes;
}

TEST(resnet, shapes_of_18_and_50) {
  cpu e{.threads = 2};
  constexpr backbone::resnet_config narrow{.width = 8};
  EXPECT_EQ(run<narrow>(e, 64, 96),
            (std::vector<extents<4>>{{2, 16, 24, 8}, {2, 8, 12, 16}, {2, 4, 6, 32}, {2, 2, 3, 64}}));
  constexpr backbone::resnet_config fifty{
      .kind = backbone::residual_kind::bottleneck, .blocks = {3, 4, 6, 3}, .width = 4};
  EXPECT_EQ(run<fifty>(e, 33, 47),
            (std::vector<extents<4>>{{2, 9, 12, 16}, {2, 5, 6, 32}, {2, 3, 3, 64}, {2, 2, 2, 128}}));
}

TEST(resnet, stride_stands_where_the_configuration_says) {
  initializer init(1);
  constexpr backbone::resnet_config in_3x3{
      .kind = backbone::residual_kind::bottleneck, .blocks = {1, 1, 1, 1}, .width = 4};
  constexpr backbone::resnet_config in_1x1{.kind = backbone::residual_kind::bottleneck,
                                           .blocks = {1, 1, 1, 1},
                                           .width = 4,
                                           .stride = backbone::stride_placement::in_first_1x1};
  const auto a = backbone::resnet<float, nn::group_norm, in_3x3>::make(init);
  const auto b = backbone::resnet<float, nn::group_norm, in_1x1>::make(init);
  EXPECT_EQ(a.stages[1][0].body[0].conv.geometry.stride, 1);
  EXPECT_EQ(a.stages[1][0].body[1].conv.geometry.stride, 2);
  EXPECT_EQ(b.stages[1][0].body[0].conv.geometry.stride, 2);
  EXPECT_EQ(b.stages[1][0].body[1].conv.geometry.stride, 1);
}

TEST(resnet, frozen_stages_and_norms_do_not_train) {
  initializer init(1);
  constexpr backbone::resnet_config c{.blocks = {1, 1, 1, 1}, .width = 8, .frozen_stages = 1, .frozen_norms = true};
  auto net = backbone::resnet<float, nn::frozen_batch_norm, c>::make(init);
  int trained = 0;
  for_each_parameter(net, [&](const std::string& name, const auto& p) {
    const bool frozen =
        name.starts_with("stem.") || name.starts_with("stages.0.") || name.find(".norm.") != std::string::npos;
    if (p.value.size() > 0) { EXPECT_EQ(p.trainable, !frozen) << name; }
    trained += p.trainable && p.value.size() > 0;
  });
  EXPECT_EQ(trained, 9); // three stages of two convolutions and a shortcut
}

TEST(fpn, an_extra_level_comes_from_the_last_output) {
  cpu e{.threads = 2};
  initializer init(1);
  constexpr backbone::resnet_config c{.blocks = {1, 1, 1, 1}, .width = 8};
  const auto net = backbone::resnet<float, nn::group_norm, c>::make(init);
  const auto neck =
      backbone::fpn<float, backbone::fpn_config{.start_level = 1, .levels = 4, .channels = 16}>::make(c, init);
  EXPECT_EQ(neck.lateral.size(), 3u);
  EXPECT_EQ(neck.extra.size(), 1u);
  inference_graph g{e};
  const auto out = neck(g, net(g, g.input(random_float<4>({1, 64, 96, 3}, 2)))).levels;
  EXPECT_EQ(out[0].shape(), (extents<4>{1, 8, 12, 16}));
  EXPECT_EQ(out[3].shape(), (extents<4>{1, 1, 2, 16}));
}

} // namespace resnet_test
