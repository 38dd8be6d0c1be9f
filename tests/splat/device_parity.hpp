// SPDX-License-Identifier: Apache-2.0
#pragma once
// The rasterizer on a device against the one on the CPU, value by value: on the emulated device here, on a real one in
// rasterizer_cuda_test.cpp.

#include "../support/same_bits.hpp"
#include "scenes.hpp"

#include <sqs/splat/cuda/rasterize.hpp>

#include <gtest/gtest.h>

namespace sqs::test {

/// Largest |a - b| / (1 + |b|).
template <class T, int R> double worst_of(const tensor<T, R>& a, const tensor<T, R>& b) {
  EXPECT_EQ(a.shape(), b.shape());
  double worst = 0;
  for (idx i = 0; i < b.size() && i < a.size(); ++i) {
    const double x = double(a.data()[i]), y = double(b.data()[i]);
    worst = std::max(worst, std::isfinite(x) && std::isfinite(y) ? std::abs(x - y) / (1 + std::abs(y))
                            : std::isnan(x) == std::isnan(y)     ? 0.0
                                                                 : 1e30);
  }
  return worst;
}
/// |a - b| / |b|.
template <class T, int R> double relative_norm(const tensor<T, R>& a, const tensor<T, R>& b) {
  double difference = 0, norm = 0;
  for (idx i = 0; i < b.size(); ++i) {
    const double x = double(a.data()[i]), y = double(b.data()[i]);
    difference += (x - y) * (x - y), norm += y * y;
  }
  return std::isfinite(difference) ? std::sqrt(difference / std::max(norm, 1e-12)) : 1e30;
}

template <class T, int R> tensor<T, R> noise(const tensor<T, R>& like, std::uint64_t seed) {
  auto x = make_tensor<T, R>(like.shape());
  const auto draw = random_stream::of(seed);
  for (idx i = 0; i < x.size(); ++i) { x.data()[i] = static_cast<T>(draw.normal(i)); }
  return x;
}

/// Options in device memory.
template <class E, class T> splat::raster_options<T, device> on_device(E& e, const splat::raster_options<T>& o) {
  splat::raster_options<T, device> d;
  d.capacity = 1 << 14; // the emulator's time goes with it
  d.mask.pixels = to_device(e, o.mask.pixels), d.mask.tiles = to_device(e, o.mask.tiles);
  d.radii = to_device(e, o.radii), d.centre_gradients = to_device(e, o.centre_gradients);
  d.centre_absgradients = to_device(e, o.centre_absgradients);
  return d;
}

/// Outputs and gradients of one call, on the host.
template <class T, int Plane, int Depth> struct rendering {
  tensor<T, Plane + 1> image;
  tensor<T, Depth> depth;
  tensor<T, Plane> transmittance;
  tensor<T, 2> means, scales, rotations;
  tensor<T, 1> opacities;
  tensor<T, 2> colours, background, poses, intrinsics;
};
template <splat::raster_config Config, class T> using rendering_of =
    rendering<T, splat::rasterizer<Config>::plane_rank, splat::rasterizer<Config>::depth_rank>;

/// The same sizes and models with other numbers.
template <class T> camera_rig<T> moved_away(const camera_rig<T>& rig) {
  camera_rig<T> out;
  for (auto view : rig) {
    view.camera.fx *= 2, view.camera.cy += 3, view.camera.distortion = {};
    out.add(view.camera, {});
  }
  return out;
}

template <splat::raster_config Config, class E, class T>
rendering_of<Config, T> render_on(E& e, const scenes::inputs<T>& in, const splat::raster_options<T, device>& options,
                                  splat::raster_counts* counts = nullptr, bool camera_tensors = false) {
  const splat::device_rasterizer<Config> op;
  const auto forward = [&](const auto&... cameras) {
    return op.forward(e, to_device(e, in.s.means), to_device(e, in.s.scales), to_device(e, in.s.rotations),
                      to_device(e, in.s.opacities), to_device(e, in.s.colours), to_device(e, in.background), cameras...,
                      options);
  };
  cpu here{.threads = 1};
  auto r = camera_tensors ? forward(to_device(e, splat::camera_poses(here, in.rig)),
                                    to_device(e, splat::camera_intrinsics(here, in.rig)), moved_away(in.rig))
                          : forward(in.rig);
  const auto& [image, depth, t] = r.value;
  rendering_of<Config, T> out;
  out.image = to_host(e, image), out.depth = to_host(e, depth), out.transmittance = to_host(e, t);
  if (counts != nullptr) { *counts = splat::read_counts(e, r.saved.lists.counts); }
  const auto d = op.backward(e, r.saved, to_device(e, noise(out.image, 5)), to_device(e, noise(out.depth, 6)),
                             to_device(e, noise(out.transmittance, 7)));
  const auto& [means, scales, rotations, opacities, colours, background, poses, intrinsics] = d;
  out.means = to_host(e, means), out.scales = to_host(e, scales), out.rotations = to_host(e, rotations);
  out.opacities = to_host(e, opacities), out.colours = to_host(e, colours);
  out.background = to_host(e, background), out.poses = to_host(e, poses), out.intrinsics = to_host(e, intrinsics);
  return out;
}

template <splat::raster_config Config, class T>
rendering_of<Config, T> render_on_cpu(const scenes::inputs<T>& in, const splat::raster_options<T>& options) {
  cpu e{.threads = 1};
  const splat::rasterizer<Config> op;
  auto r = op.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities, in.s.colours, in.background,
                      splat::camera_poses(e, in.rig), splat::camera_intrinsics(e, in.rig), in.rig, options);
  const auto& [image, depth, t] = r.value;
  const auto d = op.backward(e, r.saved, noise(image, 5), noise(depth, 6), noise(t, 7));
  const auto& [means, scales, rotations, opacities, colours, background, poses, intrinsics] = d;
  const auto keep = [](const auto& x) { return persistent_copy<T>(x); };
  return {keep(image),     keep(depth),   keep(t),          keep(means), keep(scales),    keep(rotations),
          keep(opacities), keep(colours), keep(background), keep(poses), keep(intrinsics)};
}

/// Renders and differentiates on both; `image` bounds the worst difference of outputs, `gradient` that of gradients by
/// norm.
template <splat::raster_config Config, class E, class T>
void expect_same(E& e, const scenes::inputs<T>& in, double image, double gradient,
                 const splat::raster_options<T>& options = {},
                 splat::backward_order order = splat::backward_order::automatic,
                 splat::gradient_sums sums = splat::gradient_sums::ordered) {
  splat::raster_counts on_cpu, there;
  auto cpu_options = options;
  cpu_options.counts = &on_cpu;
  const auto wanted = render_on_cpu<Config>(in, cpu_options);
  auto device_options = on_device(e, options);
  device_options.order = order, device_options.sums = sums;
  const auto got = render_on<Config>(e, in, device_options, &there);
  EXPECT_LE(worst_of(got.image, wanted.image), image);
  EXPECT_LE(worst_of(got.depth, wanted.depth), 10 * image);
  EXPECT_LE(worst_of(got.transmittance, wanted.transmittance), image);
  EXPECT_LE(relative_norm(got.means, wanted.means), gradient);
  EXPECT_LE(relative_norm(got.scales, wanted.scales), gradient);
  EXPECT_LE(relative_norm(got.rotations, wanted.rotations), gradient);
  EXPECT_LE(relative_norm(got.opacities, wanted.opacities), gradient);
  EXPECT_LE(relative_norm(got.colours, wanted.colours), gradient);
  EXPECT_LE(relative_norm(got.background, wanted.background), gradient);
  EXPECT_LE(relative_norm(got.poses, wanted.poses), gradient);
  EXPECT_LE(relative_norm(got.intrinsics, wanted.intrinsics), gradient);
  EXPECT_EQ(there.rejected, on_cpu.rejected);
  EXPECT_EQ(there.visible, on_cpu.visible);
  EXPECT_LE(there.intersections, on_cpu.intersections); // boxes there, exact tiles here
  if (options.radii) { EXPECT_LE(worst_of(to_host(e, device_options.radii), options.radii), 10 * image); }
  if (options.centre_gradients) {
    EXPECT_LE(relative_norm(to_host(e, device_options.centre_gradients), options.centre_gradients), gradient);
  }
  if (options.centre_absgradients) {
    EXPECT_LE(relative_norm(to_host(e, device_options.centre_absgradients), options.centre_absgradients), gradient);
  }
}

/// All numbers of two renderings are the same to the last bit.
template <class Rendering>
void expect_same_bits(const Rendering& got, const Rendering& wanted, const std::string& what) {
  const auto same = [&](const auto& a, const auto& b, const char* name) {
    EXPECT_TRUE(test::same_bits(a, b)) << name << ": " << what;
  };
  same(got.image, wanted.image, "image"), same(got.depth, wanted.depth, "depth");
  same(got.transmittance, wanted.transmittance, "transmittance");
  same(got.means, wanted.means, "means"), same(got.scales, wanted.scales, "scales");
  same(got.rotations, wanted.rotations, "rotations"), same(got.opacities, wanted.opacities, "opacities");
  same(got.colours, wanted.colours, "colours"), same(got.background, wanted.background, "background");
  same(got.poses, wanted.poses, "poses"), same(got.intrinsics, wanted.intrinsics, "intrinsics");
}

} // namespace sqs::test
