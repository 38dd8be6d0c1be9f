// SPDX-License-Identifier: Apache-2.0
#include "baselines.hpp"

#include "gaussian_major.hpp"
#include "scalar_tile.hpp"

#include <ctime>

namespace baselines {

namespace {

double now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// Calls f and adds the time it took.
template <class F> auto timed(double& sum, F&& f) {
  const double start = now();
  auto result = f();
  sum += now() - start;
  return result;
}

/// Both engines, stage by stage: they differ in what they order and how they blend.
template <class Order, class Blend, class Backward>
engine_report run(const task& t, int repeats, Order order, Blend blend, Backward backward) {
  engine_report out;
  std::vector<seconds> times(static_cast<std::size_t>(repeats));
  for (auto& time : times) {
    out.image.clear(), out.transmittance.clear();
    out.gradient = plain::gradients(t.scene.count, t.cameras.size());
    const float* d_image = t.d_image;
    for (std::size_t v = 0; v < t.cameras.size(); ++v) {
      const auto& c = t.cameras[v];
      const float* background = t.background + 3 * v;
      const auto splats = timed(time.project, [&] { return plain::project(t.scene, c, t.numbers); });
      const auto list = timed(time.order, [&] { return order(splats, c); });
      const auto picture = timed(time.blend, [&] { return blend(splats, list, background, c); });
      const auto d = timed(time.blend_backward, [&] {
        return backward(splats, list, picture, background, c, d_image, out.gradient.colours.data(),
                        out.gradient.background.data() + 3 * v);
      });
      timed(time.project_backward, [&] {
        plain::project_backward(t.scene, c, t.numbers, splats, d, out.gradient);
        return 0;
      });
      out.image.insert(out.image.end(), picture.image.begin(), picture.image.end());
      out.transmittance.insert(out.transmittance.end(), picture.transmittance.begin(), picture.transmittance.end());
      d_image += picture.image.size();
    }
  }
  for (const auto stage :
       {&seconds::project, &seconds::order, &seconds::blend, &seconds::blend_backward, &seconds::project_backward}) {
    out.time.*stage = times[0].*stage;
    for (const auto& time : times) { out.time.*stage = std::min(out.time.*stage, time.*stage); }
  }
  return out;
}

} // namespace

engine_report run_gaussian_major(const task& t, int repeats) {
  using namespace gaussian_major;
  return run(
      t, repeats, [](const auto& splats, const auto&) { return order_of(splats); },
      [&](const auto& splats, const auto& order, const float* background, const auto& c) {
        return blend(t.numbers, splats, order, t.scene.colours, background, c);
      },
      [&](const auto& splats, const auto&, const auto& picture, const float* background, const auto& c,
          const float* d_image, float* d_colours, float* d_background) {
        return blend_backward(t.numbers, splats, picture, t.scene.colours, background, c, d_image, d_colours,
                              d_background);
      });
}

engine_report run_scalar_tile(const task& t, int repeats) {
  using namespace scalar_tile;
  return run(
      t, repeats, [](const auto& splats, const auto& c) { return make_lists(splats, c); },
      [&](const auto& splats, const auto& l, const float* background, const auto& c) {
        return blend(t.numbers, splats, l, t.scene.colours, background, c);
      },
      [&](const auto& splats, const auto& l, const auto& picture, const float* background, const auto& c,
          const float* d_image, float* d_colours, float* d_background) {
        return blend_backward(t.numbers, splats, l, picture, t.scene.colours, background, c, d_image, d_colours,
                              d_background);
      });
}

work count_work(const task& t, int block_width, int block_height) {
  work sum;
  for (const auto& c : t.cameras) {
    const auto splats = plain::project(t.scene, c, t.numbers);
    const auto one =
        scalar_tile::count_work(t.numbers, splats, scalar_tile::make_lists(splats, c), c, block_width, block_height);
    sum.pairs += one.pairs, sum.slots += one.slots;
    sum.visible +=
        static_cast<double>(std::count_if(splats.begin(), splats.end(), [](auto& s) { return s.visible(); }));
  }
  return sum;
}

double fma_peak() {
#if defined(__AVX512F__)
  constexpr int bytes = 64, chains = 16;
#elif defined(__AVX__)
  constexpr int bytes = 32, chains = 12;
#else
  constexpr int bytes = 16, chains = 12;
#endif
  constexpr int lanes = bytes / 4, steps = 1 << 19;
  typedef float vector __attribute__((vector_size(bytes)));
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    vector a[chains], scale = vector{} + 0.999f, shift = vector{} + 0.5f;
    for (int c = 0; c < chains; ++c) { a[c] = vector{} + static_cast<float>(c); }
    asm volatile("" : "+m"(scale), "+m"(shift)); // the values are unknown to the compiler
    timespec begin{}, end{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (int i = 0; i < steps; ++i) {
      for (auto& v : a) { v = v * scale + shift; }
    }
    for (auto& v : a) { asm volatile("" : "+m"(v)); }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    const double time =
        static_cast<double>(end.tv_sec - begin.tv_sec) + 1e-9 * static_cast<double>(end.tv_nsec - begin.tv_nsec);
    best = std::max(best, 2.0 * lanes * chains * steps / time);
  }
  return best;
}

} // namespace baselines
