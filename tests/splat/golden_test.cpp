// SPDX-License-Identifier: Apache-2.0
// The rasterizer against images made by gsplat and against values and gradients made by automatic differentiation.

#include "golden.hpp"

#include <sqs/splat/rasterize.hpp>

#include <gtest/gtest.h>

namespace golden_test {

using namespace sqs;

template <class Expected, class Tensor>
double worst_difference(const std::vector<Expected>& expected, const Tensor& x, const std::string& what) {
  EXPECT_EQ(static_cast<idx>(expected.size()), x.size()) << what;
  double worst = 0;
  for (idx i = 0; i < std::min(x.size(), static_cast<idx>(expected.size())); ++i) {
    const double gap = std::abs(double(x.data()[i]) - double(expected[static_cast<std::size_t>(i)]));
    worst = gap <= worst ? worst : gap; // NaN stays
  }
  return worst;
}

TEST(golden, images_of_gsplat) {
  cpu e{.threads = 2};
  constexpr splat::raster_config config{.sh_degree = 3, .near = {1, 100}};
  for (const char* name : {"tiny", "basic"}) {
    const auto in = golden::read_brush(name);
    const auto black = make_tensor<float, 2>({1, 3}, 0.0f);
    const auto r = splat::rasterizer<config>{}.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities,
                                                       in.s.colours, black, in.rig);
    const auto& [image, depth, transmittance] = r.value;
    double worst = 0, brightest = 0;
    for (std::size_t i = 0; i < in.rgba.size(); ++i) {
      const std::size_t pixel = i / 4, c = i % 4;
      const float mine = c < 3 ? image.data()[3 * pixel + c] : 1 - transmittance.data()[pixel];
      ASSERT_NEAR(mine, in.rgba[i], 1e-5 + 0.01 * std::abs(in.rgba[i])) << name << " pixel " << pixel << " of " << c;
      worst = std::max(worst, std::abs(double(mine) - double(in.rgba[i])));
      brightest = std::max(brightest, double(mine));
    }
    std::cout << name << ": worst difference to gsplat " << worst << "\n";
    EXPECT_GT(brightest, 0.5);
  }
}

template <class T> std::vector<T> weights(idx n, int output) {
  std::vector<T> w(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < w.size(); ++i) { w[i] = static_cast<T>(std::sin(1 + 0.37 * double(i) + 5 * output)); }
  return w;
}
template <class E, class T, int R> tensor<T, R> weights_like(E& e, const tensor<T, R>& x, int output) {
  auto d = empty<T, R>(e, x.shape());
  const auto w = weights<T>(x.size(), output);
  std::copy(w.begin(), w.end(), d.data());
  return d;
}
double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) { sum += v * v; }
  return std::sqrt(sum);
}

/// Values to `value_bound`, gradients to `gradient_bound` relative to the largest of their tensor.
template <splat::raster_config Config, class T> void expect_like_autograd(const std::string& name,
                                                                          const std::vector<camera_model>& models,
                                                                          double value_bound, double gradient_bound) {
  const auto f = golden::file("autograd.safetensors");
  const auto stored = [&](const std::string& key) { return golden::numbers<double>(f.at(name + "." + key)); };
  const auto in = golden::read_scene(f, name, models);
  const auto two = [](const tensor<double, 2>& x) { return persistent_copy<T>(x); };
  cpu e{.threads = 2};
  const splat::rasterizer<Config> op;
  const auto r = op.forward(e, two(in.s.means), two(in.s.scales), two(in.s.rotations),
                            persistent_copy<T>(in.s.opacities), two(in.s.colours), two(in.background), two(in.poses),
                            two(in.intrinsics), static_cast<camera_rig<T>>(in.rig));
  const auto& [image, depth, transmittance] = r.value;
  EXPECT_LE(worst_difference(stored("image"), image, name), value_bound) << name;
  EXPECT_LE(worst_difference(stored("depth"), depth, name), 10 * value_bound) << name;
  EXPECT_LE(worst_difference(stored("transmittance"), transmittance, name), value_bound) << name;

  const auto g =
      op.backward(e, r.saved, weights_like(e, image, 0), weights_like(e, depth, 1), weights_like(e, transmittance, 2));
  const auto check = [&](const char* key, const auto& x) {
    const auto expected = stored(std::string("d_") + key);
    EXPECT_GT(norm(expected), 0) << name << " " << key;
    double most = 0;
    for (const double v : expected) { most = std::max(most, std::abs(v)); }
    EXPECT_LE(worst_difference(expected, x, key), gradient_bound * most) << name << " " << key;
  };
  check("means", std::get<0>(g));
  check("scales", std::get<1>(g));
  check("rotations", std::get<2>(g));
  check("opacities", std::get<3>(g));
  check("colours", std::get<4>(g));
  check("background", std::get<5>(g));
  check("poses", std::get<6>(g));
  check("intrinsics", std::get<7>(g));
}

// The four scenes of tools/golden_splat.py.
constexpr splat::raster_config pinhole{
    .channels = 4, .sh_degree = 2, .filter = splat::antialias::mip, .depth = splat::expected_depth};
constexpr splat::raster_config opencv{.sh_degree = 2, .cut_width = {1, 100}};
constexpr splat::raster_config fisheye{.sh_degree = 3, .filter = splat::antialias::mip, .depth = splat::inverse_depth};
constexpr splat::raster_config mixed{.channels = 2, .rule = splat::stop_rule::inclusive, .depth = splat::median_depth};

constexpr auto pin = camera_model::pinhole, cv = camera_model::opencv, fish = camera_model::fisheye,
               flat = camera_model::orthographic;

TEST(golden, autograd_of_pinholes) { expect_like_autograd<pinhole, double>("pinhole", {pin, pin}, 1e-12, 1e-10); }
TEST(golden, autograd_of_opencv) { expect_like_autograd<opencv, double>("opencv", {cv, cv}, 1e-12, 1e-10); }
TEST(golden, autograd_of_fisheyes) { expect_like_autograd<fisheye, double>("fisheye", {fish, fish}, 1e-12, 1e-10); }
TEST(golden, autograd_of_mixed_models) { expect_like_autograd<mixed, double>("mixed", {flat, fish, cv}, 1e-12, 1e-10); }
TEST(golden, autograd_in_float) {
  expect_like_autograd<pinhole, float>("pinhole", {pin, pin}, 5e-6, 1e-4);
  expect_like_autograd<opencv, float>("opencv", {cv, cv}, 5e-6, 1e-4);
  expect_like_autograd<fisheye, float>("fisheye", {fish, fish}, 5e-6, 1e-4);
}

} // namespace golden_test
