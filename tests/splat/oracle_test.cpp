// SPDX-License-Identifier: Apache-2.0
// The oracle's own parts against the library's, and its images against automatic differentiation's and gsplat's.

#include "golden.hpp"
#include "oracle.hpp"

#include <sqs/core/random.hpp>
#include <sqs/gaussian/spherical_harmonics.hpp>
#include <sqs/geometry/camera_projection.hpp>

#include <gtest/gtest.h>

namespace oracle_test {

using namespace sqs;

TEST(oracle, has_the_cameras_of_the_library) {
  const auto draw = random_stream::of(4, 1);
  for (const auto model :
       {camera_model::pinhole, camera_model::opencv, camera_model::fisheye, camera_model::orthographic}) {
    any_camera<double> camera{90, -80, 52, 41, 100, 80, model, {}};
    if (model == camera_model::opencv) { camera.distortion = {-.2, .05, 2e-3, -1e-3, .01, .03, -.01, .002}; }
    if (model == camera_model::fisheye) { camera.distortion = {-.03, .01, -.004, .0007, 0, 0, 0, 0}; }
    const auto c = make_camera_constants(camera, .3);
    const auto limits = oracle::jacobian_limits(camera, .3);
    if (model == camera_model::pinhole || model == camera_model::opencv) {
      EXPECT_NEAR(c.low_x, limits[0], 1e-10);
      EXPECT_NEAR(c.high_x, limits[1], 1e-10);
      EXPECT_NEAR(c.low_y, limits[2], 1e-10);
      EXPECT_NEAR(c.high_y, limits[3], 1e-10);
    }
    with_model(model, [&]<camera_model M>(std::integral_constant<camera_model, M>) {
      for (idx i = 0; i < 200; ++i) {
        const bool on_axis = i == 0;
        const double p[3] = {on_axis ? 0 : draw.uniform(3 * i, -2, 2), on_axis ? 0 : draw.uniform(3 * i + 1, -2, 2),
                             draw.uniform(3 * i + 2, M == camera_model::fisheye ? -1 : .5, 3)};
        const auto mine = project_point<M>(c, vec3<double>{p[0], p[1], p[2]});
        EXPECT_EQ(bool(mine.valid), oracle::inside_lens(camera, p));
        if (!mine.valid) { continue; }
        const auto pixel = oracle::pixel_of(camera, p[0], p[1], p[2]);
        const auto j = oracle::jacobian_of(camera, p, limits);
        EXPECT_NEAR(mine.u, pixel[0], 1e-10);
        EXPECT_NEAR(mine.v, pixel[1], 1e-10);
        const double entries[2][3] = {{mine.du.x, mine.du.y, mine.du.z}, {mine.dv.x, mine.dv.y, mine.dv.z}};
        for (std::size_t r = 0; r < 2; ++r) {
          for (std::size_t k = 0; k < 3; ++k) { EXPECT_NEAR(entries[r][k], j[r][k], 1e-10) << name_of(M) << i; }
        }
      }
    });
  }
}

TEST(oracle, has_the_harmonics_of_the_library) {
  const auto draw = random_stream::of(4, 2);
  for (idx i = 0; i < 50; ++i) {
    const auto v = normalized(
        vec3<double>{draw.uniform(3 * i, -1, 1), draw.uniform(3 * i + 1, -1, 1), draw.uniform(3 * i + 2, -1, 1)});
    const double d[3] = {v.x, v.y, v.z};
    double basis[25];
    sh_basis<4>(v, basis);
    int k = 0;
    for (int l = 0; l <= 4; ++l) {
      for (int m = -l; m <= l; ++m, ++k) { EXPECT_NEAR(oracle::harmonic(l, m, d), basis[k], 1e-12) << l << " " << m; }
    }
  }
}

void expect_near(const std::vector<double>& a, const std::vector<double>& b, double bound, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) { worst = std::max(worst, std::abs(a[i] - b[i])); }
  EXPECT_LE(worst, bound) << what;
}

TEST(oracle, renders_what_autograd_renders) {
  const auto f = golden::file("autograd.safetensors");
  const auto pin = camera_model::pinhole, cv = camera_model::opencv, fish = camera_model::fisheye,
             flat = camera_model::orthographic;
  struct {
    const char* name;
    std::vector<camera_model> models;
    oracle::numbers k;
    std::vector<double> oracle::picture<double>::*depth;
  } cases[] = {
      {"pinhole", {pin, pin}, {.sh_degree = 2, .mip = true}, &oracle::picture<double>::expected},
      {"opencv", {cv, cv}, {.cut_width = 0.01, .sh_degree = 2}, &oracle::picture<double>::depth},
      {"fisheye", {fish, fish}, {.sh_degree = 3, .mip = true}, &oracle::picture<double>::inverse},
      {"mixed", {flat, fish, cv}, {.exclusive = false}, &oracle::picture<double>::median},
  };
  for (const auto& c : cases) {
    const std::string name = c.name;
    const auto in = golden::read_scene(f, name, c.models);
    const auto p = oracle::render(c.k, in.s, in.background, in.rig);
    expect_near(p.image, golden::numbers<double>(f.at(name + ".image")), 1e-12, name);
    expect_near(p.*c.depth, golden::numbers<double>(f.at(name + ".depth")), 1e-11, name);
    expect_near(p.transmittance, golden::numbers<double>(f.at(name + ".transmittance")), 1e-12, name);
  }
}

TEST(oracle, renders_what_gsplat_renders) {
  for (const char* name : {"tiny", "basic"}) {
    const auto in = golden::read_brush(name);
    const auto black = make_tensor<float, 2>({1, 3}, 0.0f);
    const auto p = oracle::render({.near = 0.01, .sh_degree = 3}, in.s, black, in.rig);
    for (std::size_t i = 0; i < p.transmittance.size(); ++i) {
      for (std::size_t c = 0; c < 4; ++c) {
        const float mine = c < 3 ? p.image[3 * i + c] : 1 - p.transmittance[i];
        const float theirs = in.rgba[4 * i + c];
        ASSERT_NEAR(mine, theirs, 1e-5 + 0.01 * std::abs(theirs)) << name << " pixel " << i << " channel " << c;
      }
    }
  }
}

} // namespace oracle_test
