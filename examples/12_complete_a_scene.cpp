// SPDX-License-Identifier: Apache-2.0
// Background  A LiDAR sweep is a set of voxels. A small network sees every fourth point and says which voxels the whole
//             sweep fills: convolutions on the voxels, down to coarser ones and back up, and a layer that grows new ones.
// New here    voxelize, plans made once per scene and shared by layers, a generative layer.
// Builds on   05, 09.
// Run         complete_a_scene
// Expect      on an unseen street an IoU well above that of the input; completed.png shows from above: input, completed,
//             whole sweep (brighter is higher).
#include <sqs/data/image_io.hpp>
#include <sqs/data/procedural.hpp>
#include <sqs/optim/adamw.hpp>
#include <sqs/sparse.hpp>

#include <cstdio>

using namespace sqs;
using sparse::taps;

const sparse::voxel_grid<float, 3> space{{-24, -24, -2.4f}, {24, 24, 2.4f}, {0.4f, 0.4f, 0.4f}};

/// Mean of log(1 + exp(-s x)) with s = 1 where the label is 1, else -1.
struct logistic_op {
  template <class T> struct saved { tensor<T, 2> slope; };
  template <class T> auto forward(cpu& e, const tensor<T, 2>& x, const tensor<T, 2>& label) const {
    auto slope = empty<T, 2>(e, x.shape());
    T sum = 0;
    for (idx i = 0; i < x.size(); ++i) {
      const T s = label.data()[i] > T(0) ? T(1) : T(-1), z = s * x.data()[i];
      sum += std::max(-z, T(0)) + std::log1p(std::exp(-std::abs(z)));
      slope.data()[i] = -s / (T(1) + std::exp(z)) / static_cast<T>(x.size());
    }
    return result{full<T, 0>(e, {}, sum / static_cast<T>(x.size())), saved<T>{std::move(slope)}};
  }
  template <class T> auto backward(cpu& e, const saved<T>& s, const tensor<T, 0>& d) const {
    auto dx = empty<T, 2>(e, s.slope.shape());
    for (idx i = 0; i < dx.size(); ++i) { dx.data()[i] = s.slope.data()[i] * *d.data(); }
    return dx; // labels are data
  }
};

/// What follows from the coordinates: made once per scene, used by every layer in every step.
struct street {
  sparse::sites<3> seen, whole;
  sparse::convolution_plan on_seen, on_coarse;
  sparse::site_plan<3> down, grow;
  tensor<float, 2> features, label; ///< of the voxels seen; of those that may be grown
};
street make_street(cpu& exec, const sample& s) {
  const auto points = static_cast<idx>(s.lidar.points.size()), kept = (points + 3) / 4;
  auto all = make_tensor<float, 2>({points, 3}), some = make_tensor<float, 2>({kept, 3});
  for (idx i = 0; i < points; ++i) {
    const auto& p = s.lidar.points[static_cast<std::size_t>(i)];
    all(i, 0) = p.x, all(i, 1) = p.y, all(i, 2) = p.z;
    if (i % 4 == 0) { std::copy_n(all.data() + 3 * i, 3, some.data() + 3 * (i / 4)); }
  }
  street out;
  const auto voxels = sparse::voxelize(exec, some, space);
  out.seen = voxels.at, out.whole = sparse::voxelize(exec, all, space).at;
  out.features = sparse::voxel_features_op<3>{voxels}.forward(exec, some).value; // the mean point of each voxel
  for (float& x : out.features) { x *= 0.1f; }
  out.on_seen = sparse::make_submanifold_plan(exec, out.seen, taps<3, 3, 3>{});
  out.down = sparse::make_convolution_plan(exec, out.seen, {.taps = taps<2, 2, 2>{}, .stride = {2, 2, 2}});
  out.on_coarse = sparse::make_submanifold_plan(exec, out.down.output, taps<3, 3, 3>{});
  out.grow = sparse::make_transposed_plan(exec, out.seen, {.taps = taps<3, 3, 3>{}, .pad = {1, 1, 1}});
  const auto at = out.grow.output.coordinates(exec);
  out.label = zeros<float, 2>(exec, {at.extent(0), 1});
  for (idx i = 0; i < at.extent(0); ++i) {
    out.label(i, 0) = out.whole.find({at(i, 0), at(i, 1), at(i, 2), at(i, 3)}) >= 0 ? 1.0f : 0.0f;
  }
  return out;
}

struct network {
  sparse::convolution<float> stem, down, coarse, up, grow, head;
  SQS_MEMBERS(network, stem, down, coarse, up, grow, head)

  static network make(initializer& init) {
    const auto layer = [&](idx in, idx out, idx taps) {
      return sparse::convolution<float>::make(in, out, taps, true, init);
    };
    return {layer(3, 16, 27), layer(16, 32, 8),  layer(32, 32, 27),
            layer(32, 16, 8), layer(16, 16, 27), layer(16, 1, 1)};
  }
  /// A logit for every voxel that may be grown.
  template <graph G> variable<G, float, 2> operator()(G& g, const street& s) const {
    auto fine = nn::relu(g, stem(g, g.input(s.features), s.on_seen));
    auto low = nn::relu(g, coarse(g, nn::relu(g, down(g, fine, s.down.plan)), s.on_coarse));
    auto back = up(g, std::move(low), sparse::make_inverse_plan(s.down).plan);
    auto grown = nn::relu(g, grow(g, nn::relu(g, nn::add(g, std::move(fine), std::move(back))), s.grow.plan));
    return head(g, std::move(grown), sparse::make_submanifold_plan(g.exec(), s.grow.output, taps<1, 1, 1>{}));
  }
};

constexpr int zoom = 3, side = 120 * zoom; // pixels of a voxel and of a map

/// Seen from above, forward up: the highest voxel of each column. With logits, only what they keep.
void draw(cpu& exec, const sparse::sites<3>& s, const tensor<float, 2>* logit, image& picture, int left) {
  const auto at = s.coordinates(exec);
  for (idx i = 0; i < at.extent(0); ++i) {
    if (logit != nullptr && (*logit)(i, 0) <= 0) { continue; }
    const auto height = static_cast<std::uint8_t>(60 + at(i, 3) * 16);
    for (int p = 0; p < zoom * zoom; ++p) {
      auto* const pixel =
          picture.at(side - 1 - (at(i, 1) * zoom + p / zoom), left + side - 1 - (at(i, 2) * zoom + p % zoom));
      if (pixel[1] < height) { pixel[0] = height / 2, pixel[1] = height, pixel[2] = 200; }
    }
  }
}

int main() {
  cpu exec;
  const procedural_dataset scenes({.seed = 8, .scenes = 5, .height = 16, .width = 32});
  std::vector<street> streets;
  for (idx i = 0; i < 5; ++i) { streets.push_back(make_street(exec, scenes.sample(i))); }
  const street& unseen = streets.back();
  initializer init(2);
  auto net = network::make(init);
  optim::adamw<float> optimiser(net, {.weight_decay = 0});
  const auto iou = [](double both, double a, double b) { return both / (a + b - both); };
  for (int step = 0; step <= 120; ++step) {
    const street& s = streets[static_cast<std::size_t>(step % 4)];
    optimiser.zero_gradients();
    training_graph g{exec};
    auto loss = sqs::apply(g, logistic_op{}, net(g, s), s.label);
    if (step % 30 == 0) { std::printf("step %3d  loss %.4f\n", step, static_cast<double>(*loss.value().data())); }
    g.backward(std::move(loss));
    optimiser.step(exec, 5e-3);
  }
  inference_graph g{exec};
  const auto logit = net(g, unseen).value();
  double kept = 0, right = 0;
  for (idx i = 0; i < logit.size(); ++i) {
    kept += logit(i, 0) > 0 ? 1 : 0;
    right += logit(i, 0) > 0 && unseen.label(i, 0) > 0 ? 1 : 0;
  }
  const auto whole = static_cast<double>(unseen.whole.rows), seen = static_cast<double>(unseen.seen.rows);
  std::printf("unseen street: %.0f voxels in the whole sweep, %.0f seen, %.0f candidates, %.0f kept\n", whole, seen,
              static_cast<double>(logit.size()), kept);
  std::printf("IoU of the input %.3f, completed %.3f\n", iou(seen, seen, whole), iou(right, kept, whole));

  image picture(side, 3 * side);
  draw(exec, unseen.seen, nullptr, picture, 0);
  draw(exec, unseen.grow.output, &logit, picture, side);
  draw(exec, unseen.whole, nullptr, picture, 2 * side);
  write_png("completed.png", picture);
  std::printf("wrote completed.png\n");
}
