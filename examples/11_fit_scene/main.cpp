// SPDX-License-Identifier: Apache-2.0
// Background  3D Gaussian splatting of one real moment: six cameras and a LiDAR, no network.
// New here    Gaussians from LiDAR points, density control, SSIM, export to PLY and glTF.
// Builds on   05.
// Run         fit_scene --data PATH --out out     PATH: a data set in the nuScenes format; without: a computed street
// Expect      out/index.html: pictures beside renderings, a turntable; out/gaussians.ply and .glb for any viewer.
#include "street.hpp"

#include <CLI/CLI.hpp>

#include <sqs/data/nuscenes.hpp>
#include <sqs/data/procedural.hpp>
#include <sqs/gaussian/densify.hpp>
#include <sqs/gaussian/gltf.hpp>
#include <sqs/gaussian/ply.hpp>
#include <sqs/loss/depth.hpp>
#include <sqs/loss/ssim.hpp>
#include <sqs/loss/sum.hpp>
#include <sqs/metric/rendering.hpp>
#include <sqs/optim/adamw.hpp>
#include <sqs/pipeline/progress.hpp>
#include <sqs/sensor/exposure.hpp>
#include <sqs/splat/rasterize.hpp>

#include <unistd.h>

#include <cstdio>
#include <numeric>

namespace {

using namespace sqs;

struct options {
  std::string data = "", out = "out";
  idx sample = 0;
  int steps = 1500, width = 480, threads = 0;
  std::uint64_t seed = 1;
  bool quiet = false;
};

constexpr int degree = 0; // of the colours: one moment shows each surface from few directions
constexpr splat::raster_config drawn{.sh_degree = degree, .depth = splat::expected_depth, .absgrad = true};

// What is fitted: the Gaussians, and how brightly each camera shows them.
struct model {
  gaussian::raw_parameters<float> gaussians;
  parameter<float, 2> log_gains;
  SQS_MEMBERS(model, gaussians, log_gains)
};

// Learning rates of Kerbl et al. 2023, but for the positions: metres of a street.
optim::group rate_of(const std::string& name) {
  const auto is = [&](const char* end) { return name.ends_with(end); };
  return {.rate = is("means") ? 2e-3 : is("rotations") ? 1e-3 : is("gains") ? 1e-2 : is("logits") ? 5e-2 : 5e-3};
}

template <class G> auto render(G& g, const gaussian::raw_parameters<float>& p, const camera_rig<float>& rig,
                               const splat::raster_options<float>& o = {}) {
  auto [scales, opacities] = apply(g, gaussian::activate_op{}, p.log_scales, p.opacity_logits);
  const auto grey = full<float, 2>(g.exec(), {rig.size(), 3}, 0.5f);
  return apply(g, splat::rasterizer<drawn>{}, p.means, std::move(scales), p.rotations, std::move(opacities), p.colours,
               grey, rig, o);
}

// Views [first, last) of the frame.
camera_rig<float> rig_of(const network_input<float>& in, idx first, idx last) {
  camera_rig<float> rig;
  for (idx v = first; v < last; ++v) {
    rig.add(in.cameras[static_cast<std::size_t>(v)], in.T_cam_ref[static_cast<std::size_t>(v)]);
  }
  return rig;
}

// The fit: each step draws two of the six views; every hundred steps Gaussians are added and removed.
void fit(cpu& exec, const options& o, const network_input<float>& in, model& m) {
  constexpr idx together = 2;
  constexpr int refine_every = 100;
  const gaussian::density_config density{.extent = 20,
                                         .grow_gradient = 8e-4,
                                         .prune_opacity = 0.01,
                                         .prune_scale = 0,
                                         .prune_radius = 0.5,
                                         .most = 200'000};
  auto& p = m.gaussians;
  optim::adamw<float> optimiser(m, {.eps = 1e-15, .weight_decay = 0}, rate_of);
  gaussian::density_statistics<float> seen(p.count());
  pipeline::progress_bar bar(o.quiet ? nullptr : stderr, isatty(2) != 0, "fitting", 0, o.steps);
  const idx views = in.rgb.extent(0);
  for (int step = 0; step < o.steps; ++step) {
    const idx first = step * together % views, last = std::min(views, first + together);
    const auto rig = rig_of(in, first, last);
    const auto target = in.rgb.rows(first, last);
    splat::raster_options<float> raster;
    raster.radii = empty<float, 2>(exec, {last - first, p.count()});
    raster.centre_absgradients = empty<float, 3>(exec, {last - first, p.count(), 2});
    optimiser.zero_gradients();
    float loss = 0;
    {
      training_graph g{exec};
      auto [image, depth, left] = render(g, p, rig, raster);
      image = apply(g, expose_op{first}, std::move(image), m.log_gains);
      auto l1 = apply(g, loss::photometric_l1{}, image, target);
      auto unlike = apply(g, loss::structural_dissimilarity{}, std::move(image), target);
      auto metres = apply(g, loss::depth_l1{}, std::move(depth), in.depth.rows(first, last));
      auto sum =
          apply(g, loss::weighted_sum_op<3>{{0.8, 0.2, 0.005}}, std::move(l1), std::move(unlike), std::move(metres));
      loss = *sum.value().data();
      g.backward(sum);
    }
    optimiser.step(exec, std::pow(0.1, static_cast<double>(step) / o.steps));
    const float mean = std::accumulate(m.log_gains.value.begin(), m.log_gains.value.end(), 0.0f) /
                       static_cast<float>(m.log_gains.value.size());
    for (float& gain : m.log_gains.value) { gain -= mean; } // the scene's own brightness stays
    seen.add(exec, raster.centre_absgradients, raster.radii, rig);
    if ((step + 1) % refine_every == 0 && step > 150 && step < o.steps * 2 / 3) {
      const auto plan = gaussian::plan_density(p, seen, density);
      p = gaussian::rearranged(p, plan, density, o.seed, step);
      optimiser.follow_rows(m, plan.moments);
      seen = gaussian::density_statistics<float>(p.count());
    }
    bar.update(step + 1, concat("loss ", loss, ", ", p.count(), " Gaussians"));
  }
}

// All six views as their cameras would show them, and their depths.
auto render_all(cpu& exec, const network_input<float>& in, const model& m) {
  inference_graph g{exec};
  auto [image, depth, left] = render(g, m.gaussians, rig_of(in, 0, in.rgb.extent(0)));
  return std::pair{apply(g, expose_op{}, std::move(image), m.log_gains).value(), depth.value()};
}

// Pictures beside renderings, and the turntable.
std::vector<shown_row> write_pictures(cpu& exec, const options& o, const network_input<float>& in, const model& m) {
  const std::filesystem::path out = o.out;
  std::vector<shown_row> rows;
  const auto [image, depth] = render_all(exec, in, m);
  for (idx v = 0; v < in.rgb.extent(0); ++v) {
    const std::string name = camera_names[static_cast<std::size_t>(v)];
    const auto s = metric::score_rendering(image.rows(v, v + 1), in.rgb.rows(v, v + 1), depth.rows(v, v + 1),
                                           in.depth.rows(v, v + 1));
    rows.push_back({concat(name, ": picture, rendering, depth; PSNR ", std::round(s.psnr_db * 100) / 100, " dB"),
                    {name + "_picture.png", name + "_rendered.png", name + "_depth.png"}});
    write_png(out / rows.back().files[0], pipeline::colour_picture(in.rgb, v));
    write_png(out / rows.back().files[1], pipeline::colour_picture(image, v));
    write_png(out / rows.back().files[2], pipeline::depth_picture(depth, v));
  }
  constexpr int turns = 12;
  shown_row around{"Turntable: from where no camera stood", {}};
  const auto rig = turntable(turns, static_cast<int>(in.rgb.extent(2)), static_cast<int>(in.rgb.extent(1)));
  inference_graph g{exec};
  const auto turned = std::get<0>(render(g, m.gaussians, rig));
  for (int v = 0; v < turns; ++v) {
    around.files.push_back(concat("turntable_", v < 10 ? "0" : "", v, ".png"));
    write_png(out / around.files.back(), pipeline::colour_picture(turned.value(), v));
  }
  rows.push_back(std::move(around));
  return rows;
}

int run(const options& o) {
  cpu exec{.threads = o.threads};
  const int height = o.width * 9 / 16;
  std::error_code failed;
  std::filesystem::create_directories(o.out, failed);
  expects(!failed, "--out: cannot make the folder ", o.out, ": ", failed.message(), "; name one that can be written");
  const auto frame = [&]() -> sample {
    if (!o.data.empty()) { return nuscenes_dataset{o.data}.sample(o.sample); }
    return procedural_dataset({.seed = o.seed, .scenes = o.sample + 1, .height = height, .width = o.width})
        .sample(o.sample);
  }();
  const auto& first = frame.views.at(0).picture;
  const auto in = make_network_input<float>(frame, fitting_plan(first.height, first.width, height, o.width));
  gaussian_cloud cloud{
      .means = {}, .log_scales = {}, .rotations = {}, .opacity_logits = {}, .sh_degree = degree, .sh = {}};
  add_lidar_points(exec, frame, in, cloud);
  const std::size_t from_lidar = cloud.size();
  add_unseen(in, ground_height(frame.lidar.points), cloud);
  model m{gaussian::to_parameters<float>(cloud), {make_tensor<float, 2>({in.rgb.extent(0), 3}), {}}};
  const auto score = [&] {
    const auto [image, depth] = render_all(exec, in, m);
    return metric::score_rendering(image, in.rgb, depth, in.depth);
  };

  const auto before = score();
  const auto start = std::chrono::steady_clock::now();
  fit(exec, o, in, m);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto after = score();

  const std::filesystem::path out = o.out;
  const auto fitted = gaussian::to_cloud(m.gaussians, degree);
  const auto rows = write_pictures(exec, o, in, m);
  write_ply(out / "gaussians.ply", fitted, {.frame = "LiDAR at the key frame: x right, y forward, z up, metres"});
  write_gltf(out / "gaussians.glb", fitted);
  const auto two_digits = [](double v) { return std::round(v * 100) / 100; };
  const std::vector<std::pair<std::string, std::string>> facts{
      {"data", o.data.empty() ? "a computed street" : frame.scene + ", " + frame.token},
      {"PSNR of the six pictures it was fitted to",
       concat(two_digits(after.psnr_db), " dB (", two_digits(before.psnr_db), " dB before the fit, ",
              two_digits(after.baseline_psnr_db), " dB for the best constant colour)")},
      {"depth error against the LiDAR",
       concat(two_digits(after.depth_l1_m), " m (best constant ", two_digits(after.baseline_depth_l1_m), " m)")},
      {"Gaussians", concat(fitted.size(), " (", from_lidar, " from LiDAR points, ", cloud.size() - from_lidar,
                           " where it saw nothing, at the start)")},
      {"steps", concat(o.steps, " of two views of ", o.width, " x ", height, ", ", pipeline::duration_text(seconds),
                       " on ", exec.thread_count(), " threads")}};
  write_file_atomic(out / "index.html", bytes_of(page("A street as Gaussians", facts, rows)));
  for (const auto& [name, value] : facts) { std::printf("%s: %s\n", name.c_str(), value.c_str()); }
  std::printf("report: %s\n", std::filesystem::absolute(out / "index.html").c_str());
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app{"Fits Gaussians to one moment of six cameras and a LiDAR.\n"
               "Example: fit_scene --data pandaset-nuscenes --out out"};
  app.option_defaults()->always_capture_default();
  app.add_option("--data", o.data, "folder of a data set in the nuScenes format; none: a computed street")
      ->check(CLI::ExistingDirectory);
  app.add_option("--sample", o.sample, "which key frame")->check(CLI::Range(0, 1'000'000));
  app.add_option("--out", o.out, "folder of the results");
  app.add_option("--steps", o.steps, "of the optimiser")->check(CLI::Range(0, 1'000'000));
  app.add_option("--width", o.width, "of the images, in pixels; the height is 9/16 of it")->check(CLI::Range(32, 1600));
  app.add_option("--seed", o.seed, "of everything random");
  app.add_option("--threads", o.threads, "0: all cores; results do not depend on it")->check(CLI::Range(0, 1024));
  app.add_flag("--quiet", o.quiet, "no progress bar");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) { return app.exit(e) == 0 ? 0 : 2; }
  try {
    return run(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "fit_scene: %s\n", e.what());
    return 1;
  }
}
