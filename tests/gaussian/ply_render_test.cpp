// SPDX-License-Identifier: Apache-2.0
// A scene that went through a file looks the same, to the last bit.
#include "../support/check.hpp"

#include <sqs/gaussian/ply.hpp>
#include <sqs/splat/rasterize.hpp>

namespace ply_render_test {

using namespace sqs;
using namespace sqs::test;

gaussian_cloud scene(int degree) {
  const auto r = random_stream::of(11, degree);
  idx next = 0;
  const auto number = [&](double low, double high) { return static_cast<float>(r.uniform(next++, low, high)); };
  gaussian_cloud g;
  g.sh_degree = degree;
  for (int i = 0; i < 200; ++i) {
    g.means.push_back({number(-2, 2), number(-1.5, 1.5), number(2, 6)});
    g.log_scales.push_back({number(-3.5, -1), number(-3.5, -1), number(-3.5, -1)});
    g.rotations.push_back({number(-1, 1), number(-1, 1), number(-1, 1), number(-1, 1)});
    g.opacity_logits.push_back(number(-3, 4));
    for (std::size_t k = 0; k < 3 * g.coefficients(); ++k) { g.sh.push_back(number(-0.6, 0.6)); }
    g.extra["sem_0"].push_back(number(-1, 1));
    g.extra["sem_1"].push_back(number(-1, 1));
  }
  return g;
}

template <int Degree> auto rendered(cpu& e, const gaussian::activated_gaussians<float>& g) {
  camera_rig<float> rig;
  rig.add({60, 60, 40, 24, 80, 48}, {});
  rig.add({70, 70, 40, 24, 80, 48}, {mat3<float>::identity(), {0.3f, -0.2f, 0.5f}});
  constexpr splat::raster_config config{.channels = 5, .sh_degree = Degree};
  return splat::rasterizer<config>{}
      .forward(e, g.means, g.scales, g.rotations, g.opacities, g.colours, make_tensor<float, 2>({2, 5}, 0.25f), rig)
      .value;
}

template <int Degree> void expect_same_pictures() {
  SCOPED_TRACE(Degree);
  cpu e{.threads = 2};
  const std::vector<std::string> extras{"sem_1", "sem_0"};
  const auto cloud = scene(Degree);
  // From the numbers a training run holds, and from the file.
  const auto p = gaussian::to_parameters<float>(cloud, extras);
  auto [scales, opacities] = gaussian::activate_op{}.forward(e, p.log_scales.value, p.opacity_logits.value).value;
  const auto before = rendered<Degree>(e, {p.means.value, scales, p.rotations.value, opacities, p.colours.value});
  const auto file = encode_ply(gaussian::to_cloud(p, Degree, extras), {.normals = Degree % 2 == 1});
  const auto after = rendered<Degree>(e, gaussian::activated<float>(e, decode_ply(file, "scene.ply"), extras));
  const auto same = [](const auto& a, const auto& b) {
    return a.size() == b.size() &&
           std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0;
  };
  EXPECT_TRUE(same(std::get<0>(before), std::get<0>(after)));
  EXPECT_TRUE(same(std::get<1>(before), std::get<1>(after)));
  EXPECT_TRUE(same(std::get<2>(before), std::get<2>(after)));
  // It is a picture of these Gaussians: another coefficient, another image.
  auto changed = cloud;
  changed.sh.back() += 0.5f;
  changed.opacity_logits.back() = 3;
  EXPECT_FALSE(
      same(std::get<0>(before), std::get<0>(rendered<Degree>(e, gaussian::activated<float>(e, changed, extras)))));
}

TEST(ply, a_scene_renders_the_same_after_a_file) {
  expect_same_pictures<0>();
  expect_same_pictures<1>();
  expect_same_pictures<3>();
  expect_same_pictures<4>();
}

} // namespace ply_render_test
