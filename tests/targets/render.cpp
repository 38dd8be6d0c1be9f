// SPDX-License-Identifier: Apache-2.0
// A consumer of the rasterizer that scripts/check_targets.sh compiles for every processor the library supports: renders a
// scene and its gradients in float and in double, and compares the two. Prints what it measured; fails if they differ by
// more than rounding.

#include <sqs/core/random.hpp>
#include <sqs/core/simd.hpp>
#include <sqs/splat.hpp>

#include <cstdio>

namespace {

using namespace sqs;

template <class T> struct outcome {
  std::vector<double> image, gradient;
  bool repeats = true; ///< the same bits with three threads
};

template <class T> outcome<T> render() {
  const idx n = 400;
  splat::scene<T> s{make_tensor<T, 2>({n, 3}), make_tensor<T, 2>({n, 3}), make_tensor<T, 2>({n, 4}),
                    make_tensor<T, 1>({n}), make_tensor<T, 2>({n, 3})};
  const auto draw = random_stream::of(20261121, 8);
  idx i = 0;
  const auto next = [&](double low, double high) {
    return static_cast<T>(static_cast<float>(draw.uniform(i++, low, high)));
  };
  for (idx g = 0; g < n; ++g) {
    const T z = next(2, 12);
    s.means(g, 0) = next(-0.6, 0.6) * z, s.means(g, 1) = next(-0.5, 0.5) * z, s.means(g, 2) = z;
    for (idx k = 0; k < 3; ++k) { s.scales(g, k) = next(0.02, 0.4), s.colours(g, k) = next(0, 1); }
    for (idx k = 0; k < 4; ++k) { s.rotations(g, k) = next(-1, 1); }
    s.opacities(g) = next(0.02, 1);
  }
  const auto background = make_tensor<T, 2>({1, 3});
  camera_rig<T> rig;
  rig.add({T(90), T(95), T(61), T(44), 120, 90}, {});
  const splat::rasterizer<> op;
  const auto run = [&](int threads) {
    cpu e{.threads = threads};
    const auto r = op.forward(e, s.means, s.scales, s.rotations, s.opacities, s.colours, background, rig);
    const auto& [image, depth, t] = r.value;
    auto d_image = make_tensor<T, 4>(image.shape());
    for (idx k = 0; k < d_image.size(); ++k) { d_image.data()[k] = T(static_cast<float>(draw.uniform(k, -1, 1))); }
    const auto g = op.backward(e, r.saved, d_image, zeros<T, 3>(e, depth.shape()), zeros<T, 3>(e, t.shape()));
    outcome<T> out{{image.begin(), image.end()}, {}, true};
    const auto add = [&](const auto& x) { out.gradient.insert(out.gradient.end(), x.begin(), x.end()); };
    add(std::get<0>(g)), add(std::get<1>(g)), add(std::get<2>(g)), add(std::get<3>(g)), add(std::get<4>(g));
    return out;
  };
  auto out = run(1);
  const auto again = run(3);
  out.repeats = out.image == again.image && out.gradient == again.gradient;
  return out;
}

} // namespace

int main() {
  const auto f = render<float>();
  const auto d = render<double>();
  double error = 0, worst = 0, sum = 0, over = 0, under = 0;
  for (std::size_t i = 0; i < d.image.size(); ++i) {
    const double e = f.image[i] - d.image[i];
    error += e * e, worst = std::max(worst, std::abs(e)), sum += f.image[i];
  }
  for (std::size_t i = 0; i < d.gradient.size(); ++i) {
    over += (f.gradient[i] - d.gradient[i]) * (f.gradient[i] - d.gradient[i]), under += d.gradient[i] * d.gradient[i];
  }
  const double psnr = -10 * std::log10(error / static_cast<double>(d.image.size()) + 1e-300);
  const double gradient = std::sqrt(over / under);
  std::printf("registers of %2d bytes: sum %.6f; against double: image %.1f dB, worst %.1e, gradients rel. L2 %.1e; "
              "three threads: %s\n",
              register_bytes, sum, psnr, worst, gradient, f.repeats && d.repeats ? "the same bits" : "OTHER BITS");
  // A pixel at the cut may flip: that alone would leave 80 dB.
  const bool good = psnr > 80 && worst < 0.005 && gradient < 1e-3 && f.repeats && d.repeats && sum > 1000;
  return good ? 0 : 1;
}
