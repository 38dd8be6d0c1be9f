// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// A workload with everything its benchmarks need: the engine configured for it, the work by definition, and the times of
/// the baselines, taken only after their images and gradients were found to be the engine's.

#include "task.hpp"

#include <sqs/splat/rasterize.hpp>

#include <cstdio>

namespace subjects {

using namespace sqs;
using workloads::workload;

constexpr splat::raster_config rgb{.depth = splat::no_depth};
constexpr splat::raster_config clipped{.radius_clip = {3, 1}, .depth = splat::no_depth};
constexpr splat::raster_config features{.channels = 24, .depth = splat::no_depth};

inline bool without_baselines = false;

/// A workload with what is known about it.
struct subject {
  workload w;
  tensor<float, 4> d_image;
  baselines::work work;
  baselines::seconds gaussian_major, scalar_tile;
  bool compared = false;

  baselines::task task() const {
    auto t = baselines::task_of(w);
    t.d_image = d_image.data();
    return t;
  }
};

// -- the engine, stage by stage --------------------------------------------------------------------------------------

template <splat::raster_config Config> struct engine {
  const workload& w;
  const tensor<float, 2>& colours;
  const tensor<float, 2>& background;
  splat::rasterizer<Config> op{};

  auto forward(cpu& e) const {
    return op.forward(e, w.s.means, w.s.scales, w.s.rotations, w.s.opacities, colours, background, w.rig);
  }
};
/// The configuration of a workload: calls f with the engine.
template <class F> void with_engine(const workload& w, F&& f) {
  if (w.clips) {
    f(engine<clipped>{w, w.s.colours, w.background});
  } else {
    f(engine<rgb>{w, w.s.colours, w.background});
  }
}

template <int R> tensor<float, R> zeros_like(const tensor<float, R>& t) {
  auto z = make_tensor<float, R>(t.shape());
  std::fill(z.begin(), z.end(), 0.0f);
  return z;
}
/// What forward left, and a gradient of the image.
template <class Engine> struct ready {
  const Engine& engine_;
  cpu& e;
  decltype(engine_.forward(e)) out;
  const tensor<float, 4>& d_image;
  std::remove_cvref_t<decltype(std::get<1>(out.value))> d_depth;
  tensor<float, 3> d_t;

  ready(const Engine& engine, cpu& exec, const tensor<float, 4>& d)
      : engine_(engine),
        e(exec),
        out(engine.forward(exec)),
        d_image(d),
        d_depth(zeros_like(std::get<1>(out.value))),
        d_t(zeros_like(std::get<2>(out.value))) {}
  auto backward() const { return engine_.op.backward(e, out.saved, d_image, d_depth, d_t); }
};

// -- comparing -------------------------------------------------------------------------------------------------------

inline double relative_l2(const float* a, const float* b, std::size_t n) {
  double over = 0, under = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(a[i]), d = x - static_cast<double>(b[i]);
    over += d * d, under += x * x;
  }
  return under > 0 ? std::sqrt(over / under) : std::sqrt(over);
}

/// Stops the program if a baseline does not draw the engine's image: a baseline of something else is none. A pixel at the
/// cut may flip, and two Gaussians of one depth may change places, because both round differently: so up to one value
/// in ten thousand may be off by more than 1e-3.
template <class Image, class Gradients>
void compare(int id, const char* name, const Image& image, const Gradients& g, const baselines::engine_report& b) {
  double worst = 0, over = 0;
  const auto values = static_cast<std::size_t>(image.size());
  for (std::size_t i = 0; i < values; ++i) {
    const double d = std::abs(static_cast<double>(image.data()[i]) - static_cast<double>(b.image[i]));
    worst = std::max(worst, d);
    over += d > 1e-3 ? 1 : 0;
  }
  const auto compared = [&](const auto& t, const std::vector<float>& other) {
    return relative_l2(t.data(), other.data(), other.size());
  };
  const double d[] = {
      compared(std::get<0>(g), b.gradient.means),       compared(std::get<1>(g), b.gradient.scales),
      compared(std::get<2>(g), b.gradient.quaternions), compared(std::get<3>(g), b.gradient.opacities),
      compared(std::get<4>(g), b.gradient.colours),     compared(std::get<5>(g), b.gradient.background)};
  const double gradient = *std::max_element(std::begin(d), std::end(d));
  const double image_l2 = relative_l2(image.data(), b.image.data(), values), share = over / static_cast<double>(values);
  std::fprintf(stderr,
               "W%d against %s: image at most %.1e, rel. L2 %.1e, %.1e of the values off by more than 1e-3; gradients "
               "rel. L2 at most %.1e\n",
               id, name, worst, image_l2, share, gradient);
  if (!(share <= 1e-4) || !(image_l2 <= 1e-3) || !(gradient <= 1e-3)) {
    std::fprintf(stderr, "sqs_bench_splat: %s draws another image than the engine; one of them is wrong\n", name);
    std::exit(1);
  }
}

inline void measure_baselines(subject& s) {
  s.compared = true;
  if (without_baselines) { return; }
  const auto task = s.task();
  const int repeats = s.w.id == 3 ? 2 : 3;
  const auto a = baselines::run_gaussian_major(task, repeats), b = baselines::run_scalar_tile(task, repeats);
  s.gaussian_major = a.time, s.scalar_tile = b.time;
  with_engine(s.w, [&](const auto& engine) {
    cpu e{.threads = 1};
    const ready r(engine, e, s.d_image);
    const auto g = r.backward();
    compare(s.w.id, "gaussian_major", std::get<0>(r.out.value), g, a);
    compare(s.w.id, "scalar_tile", std::get<0>(r.out.value), g, b);
  });
}

/// One at a time: the largest takes a gigabyte.
inline subject& get(int id) {
  static subject current;
  if (current.w.rig.size() > 0 && current.w.id == id) { return current; }
  current = {}; // before the next one takes memory
  current.w = workloads::make(id);
  const auto& w = current.w;
  current.d_image = make_tensor<float, 4>({w.rig.size(), w.height(), w.width(), 3});
  const auto draw = random_stream::of(20261121, 77, id);
  for (idx i = 0; i < current.d_image.size(); ++i) {
    current.d_image.data()[i] = static_cast<float>(draw.uniform(i, -0.5, 1));
  }
  using shape = splat::detail::tile_shape<splat::raster_constants<rgb, float>, float>;
  current.work = baselines::count_work(current.task(), shape::edge, shape::edge);
  return current;
}
inline const subject& get_with_baselines(int id) {
  subject& s = get(id);
  if (!s.compared) { measure_baselines(s); }
  return s;
}

} // namespace subjects
