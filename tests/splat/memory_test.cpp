// SPDX-License-Identifier: Apache-2.0
// With everything switched on: the same bits for any number of threads and any bands, and the memory a call takes.

#include "features.hpp"

namespace memory_test {

using namespace features;
using namespace splat;

constexpr raster_config everything{.channels = 7,
                                   .sh_degree = 2,
                                   .filter = antialias::mip,
                                   .depth = accumulated_depth | expected_depth | inverse_depth | median_depth,
                                   .absgrad = true,
                                   .layout = image_layout::jagged};
/// Without depth the sums of a Gaussian need no rearranging: a shortcut of its own.
constexpr raster_config no_depths{
    .channels = 7, .sh_degree = 2, .depth = no_depth, .absgrad = true, .layout = image_layout::jagged};

/// A scene in float with four cameras of four models and sizes, a tenth of the pixels masked.
struct scene_with_all {
  scenes::inputs<float> in;
  tensor<float, 2> poses, intrinsics;
  raster_options<float> options;
};
scene_with_all make_scene(idx gaussians, int height, int width, double least_scale = 0.02) {
  auto wide = scenes::random({.gaussians = gaussians, .least_scale = least_scale, .channels = 27 + 4, .seed = 91});
  for (double& x : wide.s.colours) { x = 2 * x - 1; }
  for (idx g = 0; g + 7 < gaussians; g += 7) {
    wide.s.means(g + 1, 2) = wide.s.means(g, 2);
  } // equal depths in one view
  wide.rig = {};
  constexpr camera_model models[] = {camera_model::pinhole, camera_model::opencv, camera_model::fisheye,
                                     camera_model::orthographic};
  for (int i = 0; i < 4; ++i) { wide.rig.add(camera_of(models[i], height + 7 * i, width - 9 * i), pose_of(i)); }
  wide.background = make_tensor<double, 2>({4, 7}, 0.2);
  auto in = scenes::in_scalar<float>(wide);
  cpu e{.threads = 1};
  raster_options<float> options{.mask = {make_tensor<std::uint8_t, 1>({in.rig.pixel_count()}, std::uint8_t{1}), {}},
                                .radii = make_tensor<float, 2>({4, gaussians}),
                                .centre_gradients = make_tensor<float, 3>({4, gaussians, 2}),
                                .centre_absgradients = make_tensor<float, 3>({4, gaussians, 2})};
  for (idx p = 0; p < options.mask.pixels.size(); p += 10) { options.mask.pixels(p) = 0; }
  return {in, persistent_copy<float>(camera_poses(e, in.rig)), persistent_copy<float>(camera_intrinsics(e, in.rig)),
          options};
}
template <raster_config Config = everything> auto forward_of(cpu& e, const scene_with_all& x) {
  return rasterizer<Config>{}.forward(e, x.in.s.means, x.in.s.scales, x.in.s.rotations, x.in.s.opacities,
                                      x.in.s.colours, x.in.background, x.poses, x.intrinsics, x.in.rig, x.options);
}

/// Everything that leaves a forward and a backward pass.
struct outcome {
  std::vector<std::vector<float>> numbers;
  void add(const auto& x) { numbers.emplace_back(x.begin(), x.end()); }
};
template <raster_config Config = everything> outcome run(cpu& e, const scene_with_all& x) {
  outcome out;
  const auto r = forward_of<Config>(e, x);
  const auto g = backward_of(e, rasterizer<Config>{}, r);
  std::apply([&](const auto&... t) { (out.add(t), ...); }, r.value);
  std::apply([&](const auto&... t) { (out.add(t), ...); }, g);
  out.add(x.options.radii), out.add(x.options.centre_gradients), out.add(x.options.centre_absgradients);
  return out;
}
void expect_same(const outcome& a, const outcome& b, const std::string& what) {
  ASSERT_EQ(a.numbers.size(), 14u);
  ASSERT_EQ(b.numbers.size(), 14u);
  for (std::size_t i = 0; i < a.numbers.size(); ++i) {
    const auto &x = a.numbers[i], &y = b.numbers[i];
    EXPECT_TRUE(same_bits(x, y)) << what << ", output " << i;
  }
}

TEST(memory, same_bits_for_any_number_of_threads) {
  const auto x = make_scene(700, 60, 100);
  cpu one{.threads = 1};
  const auto expected = run(one, x);
  for (const auto& numbers : expected.numbers) {
    EXPECT_TRUE(std::any_of(numbers.begin(), numbers.end(), [](float v) { return v != 0; }));
    EXPECT_TRUE(std::all_of(numbers.begin(), numbers.end(), [](float v) { return std::isfinite(v); }));
  }
  for (const int threads : {1, 2, 3, 8}) {
    cpu e{.threads = threads};
    expect_same(run(e, x), expected, std::to_string(threads) + " threads");
  }
}

TEST(memory, same_bits_for_any_threads_and_bands_without_depth) {
  auto x = make_scene(700, 60, 100);
  cpu one{.threads = 1};
  const auto expected = run<no_depths>(one, x);
  // No view has more than half of the entries: two threads get views of their own, three share them.
  const auto saved = forward_of<no_depths>(one, x).saved;
  idx longest = 0;
  for (int v = 0; v < 4; ++v) {
    const idx first = saved.grid[v].first_tile, last = saved.grid[v + 1].first_tile;
    longest = std::max(longest, saved.bins.begin(last) - saved.bins.begin(first));
  }
  EXPECT_LE(2 * longest, saved.bins.intersections());
  EXPECT_GT(longest, 0);
  EXPECT_GT(std::count_if(expected.numbers[3].begin(), expected.numbers[3].end(), [](float v) { return v != 0; }),
            1000);
  for (const std::size_t bytes : {std::size_t{4} << 30, std::size_t{1} << 13}) {
    x.options.band_bytes = bytes;
    for (const int threads : {1, 2, 3}) {
      cpu e{.threads = threads};
      expect_same(run<no_depths>(e, x), expected, concat(bytes, " bytes, ", threads, " threads"));
    }
  }
}

TEST(memory, same_bits_for_any_bands) {
  auto x = make_scene(700, 60, 100);
  cpu e{.threads = 2};
  const auto expected = run(e, x);
  const auto whole = forward_of(e, x);
  EXPECT_FALSE(whole.saved.order.record); // at once
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1} << 10, std::size_t{1} << 13}) {
    x.options.band_bytes = bytes;
    EXPECT_TRUE(forward_of(e, x).saved.order.record); // in bands
    for (const int threads : {1, 2, 3}) { // sums of a view go straight to their records, or through groups of tiles
      cpu other{.threads = threads};
      expect_same(run(other, x), expected, concat(bytes, " bytes, ", threads, " threads"));
    }
  }
}

/// The way back deals Gaussians out in chunks, which cannot show in what those that are seen get.
TEST(memory, gradients_among_many_hidden_gaussians_are_the_same) {
  constexpr idx apart = 20;
  const auto few = scenes::random({.gaussians = 300, .seed = 92});
  auto many = few;
  const idx n = few.s.count() * apart;
  ASSERT_GT(n, splat::detail::backward_ranges * splat::detail::backward_chunk(n)) << "no two chunks share a range";
  const auto spread = [&](const tensor<double, 2>& x) {
    auto out = make_tensor<double, 2>({n, x.extent(1)});
    for (idx g = 0; g < n; ++g) { std::copy_n(&x(g / apart, 0), x.extent(1), &out(g, 0)); }
    return out;
  };
  many.s = {spread(few.s.means), spread(few.s.scales), spread(few.s.rotations), make_tensor<double, 1>({n}),
            spread(few.s.colours)};
  for (idx g = 0; g < few.s.count(); ++g) { many.s.opacities(apart * g + 7) = few.s.opacities(g); }
  cpu one{.threads = 1};
  const splat::rasterizer<raster_config{}> op;
  const auto gradients_of = [&](cpu& e, const scenes::inputs<double>& in) {
    return backward_of(e, op,
                       op.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities, in.s.colours,
                                  in.background, camera_poses(e, in.rig), camera_intrinsics(e, in.rig), in.rig));
  };
  const auto expected = gradients_of(one, few);
  for (const int threads : {1, 2, 3}) {
    cpu e{.threads = threads};
    const auto got = gradients_of(e, many);
    const auto expect_spread = [&](const auto& wide, const auto& narrow) {
      const idx columns = narrow.size() / few.s.count();
      for (idx i = 0; i < wide.size(); ++i) {
        const idx g = i / columns;
        const double wanted = g % apart == 7 ? narrow.data()[g / apart * columns + i % columns] : 0;
        ASSERT_EQ(wide.data()[i], wanted) << "number " << i << ", " << threads << " threads";
      }
    };
    expect_spread(std::get<0>(got), std::get<0>(expected)), expect_spread(std::get<1>(got), std::get<1>(expected));
    expect_spread(std::get<2>(got), std::get<2>(expected)), expect_spread(std::get<3>(got), std::get<3>(expected));
    expect_spread(std::get<4>(got), std::get<4>(expected));
    EXPECT_TRUE(same_bits(std::get<5>(got), std::get<5>(expected)));
    for (idx i = 0; i < 24; ++i) { // summed in other groups
      EXPECT_NEAR(std::get<6>(got).data()[i], std::get<6>(expected).data()[i],
                  1e-12 * (1 + std::abs(std::get<6>(expected).data()[i])));
      EXPECT_NEAR(std::get<7>(got).data()[i], std::get<7>(expected).data()[i],
                  1e-12 * (1 + std::abs(std::get<7>(expected).data()[i])));
    }
  }
}

TEST(memory, bands_keep_within_their_bytes) {
  auto x = make_scene(500, 400, 600, 0.7); // large Gaussians: long lists
  const auto peak = [&](std::size_t band_bytes) {
    x.options.band_bytes = band_bytes;
    cpu e{.threads = 2};
    run(e, x);
    return e.memory().statistics().peak;
  };
  const std::size_t whole = peak(std::size_t{4} << 30), banded = peak(std::size_t{1} << 20);
  std::cout << "peak " << whole << " bytes at once, " << banded << " in bands\n";
  EXPECT_LT(banded + (std::size_t{1} << 20), whole);
}

TEST(memory, takes_nothing_from_the_second_call_on) {
  for (const std::size_t band_bytes : {std::size_t{4} << 30, std::size_t{1} << 16}) {
    auto x = make_scene(700, 60, 100);
    x.options.band_bytes = band_bytes;
    cpu e{.threads = 2};
    run(e, x);
    const auto first = e.memory().statistics();
    run(e, x);
    run(e, x);
    EXPECT_EQ(e.memory().statistics().takes, first.takes);
    EXPECT_EQ(e.memory().statistics().slabs, first.slabs);
    EXPECT_EQ(e.memory().statistics().live, first.live);
  }
}

/// What `query_bytes` says against what a call takes, for a configuration and scalar.
template <raster_config Config, class T>
void expect_query(const scenes::inputs<T>& in, std::size_t band_bytes, int threads = 2) {
  const rasterizer<Config> op;
  const raster_options<T> options{.band_bytes = band_bytes};
  cpu e{.threads = threads};
  const auto forward = [&] {
    return op.forward(e, in.s.means, in.s.scales, in.s.rotations, in.s.opacities, in.s.colours, in.background, in.rig,
                      options);
  };
  const std::size_t before = e.memory().statistics().live;
  e.memory().reset_peak();
  const auto r = forward();
  const std::size_t forward_peak = e.memory().statistics().peak - before;
  const auto d = some_gradient(e, r.value); // the caller's memory
  const std::size_t held = e.memory().statistics().live;
  e.memory().reset_peak();
  op.backward(e, r.saved, std::get<0>(d), std::get<1>(d), std::get<2>(d));
  const std::size_t backward_peak = e.memory().statistics().peak - held;
  const auto bytes = op.template query_bytes<T>(in.rig, in.s.count(), r.saved.projected.count(),
                                                r.saved.counts.intersections, band_bytes);
  std::cout << "forward " << forward_peak << " of " << bytes.forward << ", backward " << backward_peak << " of "
            << bytes.backward << "\n";
  EXPECT_LE(forward_peak, bytes.forward);
  EXPECT_LE(backward_peak, bytes.backward);
  EXPECT_LE(bytes.forward, 2 * forward_peak);
  EXPECT_LE(bytes.backward, 2 * backward_peak);
}
scenes::inputs<double> large(idx channels, idx gaussians, int height, int width) {
  return scenes::random({.gaussians = gaussians,
                         .height = height,
                         .width = width,
                         .least_scale = 0.02,
                         .most_scale = 0.2,
                         .channels = channels,
                         .seed = 92});
}
TEST(memory, query_bytes_bounds_the_peak) {
  const auto in = scenes::in_scalar<float>(large(3, 4000, 300, 400));
  expect_query<raster_config{}>(in, std::size_t{4} << 30);
  expect_query<raster_config{}>(in, std::size_t{1} << 20);
}
TEST(memory, query_bytes_bounds_the_peak_of_images_and_of_gaussians) {
  expect_query<raster_config{}>(scenes::in_scalar<float>(large(3, 100, 700, 900)), std::size_t{4} << 30);
  expect_query<raster_config{}>(scenes::in_scalar<float>(large(3, 60000, 60, 80)), std::size_t{4} << 30);
}
TEST(memory, query_bytes_bounds_the_peak_of_one_view) {
  auto in = scenes::in_scalar<float>(large(3, 20000, 300, 400));
  in.rig = {in.rig[0]};
  in.background = in.background.rows(0, 1);
  for (idx g = 0; g < 20000; g += 3) { in.s.means(g, 2) = -1; }
  for (const int threads : {1, 2}) { expect_query<raster_config{}>(in, std::size_t{4} << 30, threads); }
}
TEST(memory, query_bytes_bounds_the_peak_of_channels_and_doubles) {
  constexpr raster_config config{.channels = 24, .tile = 8, .depth = inverse_depth | median_depth, .absgrad = true};
  expect_query<config>(large(24, 3000, 200, 300), std::size_t{4} << 30);
}

} // namespace memory_test
