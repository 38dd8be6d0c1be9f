// SPDX-License-Identifier: Apache-2.0
// Background  Look at data before training on it: most mistakes (axes, frames, class numbers) show at a glance.
// New here    Boxes on pictures and from above, occupancy in perspective, flow, voxels as PLY, one page of it all.
// Builds on   07 (a data set in the nuScenes format), 15 (the town, shown where no data set is given).
// Run         look_at_data ROOT --sample 3 --out look     with occupancy where gts/, openocc_v2/ or
//             dense_voxels_with_semantic/ stand beside the samples
// Expect      look/index.html, the pictures it shows, look/occupancy.ply.
#include <CLI/CLI.hpp>

#include <sqs/data/nuscenes.hpp>
#include <sqs/data/occupancy_files.hpp>
#include <sqs/data/town.hpp>
#include <sqs/pipeline/box_pictures.hpp>
#include <sqs/pipeline/occupancy_pictures.hpp>
#include <sqs/pipeline/page.hpp>
#include <sqs/pipeline/pictures.hpp>
#include <sqs/pipeline/voxel_ply.hpp>
#include <sqs/sensor/lidar_depth.hpp>

#include <cstdio>

using namespace sqs;
namespace fs = std::filesystem;

namespace {

/// One key frame with the labels there are.
struct shown {
  sample frame;
  std::vector<std::pair<std::string, occupancy_labels>> occupancy; ///< name, labels
};

shown of_data_set(const fs::path& given, idx i) {
  const nuscenes_dataset data(given);
  const fs::path root = data.root();
  shown s{data.sample(i), {}};
  const auto add = [&](const char* name, const fs::path& path, auto&& read) {
    if (fs::exists(path)) { s.occupancy.emplace_back(name, read(path)); }
  };
  add("Occ3D", occ3d_path(root / "gts", data.scene(i), data.token(i)), [](const fs::path& p) { return read_occ3d(p); });
  add("OpenOcc v2", occ3d_path(root / "openocc_v2", data.scene(i), data.token(i)),
      [](const fs::path& p) { return read_open_occ(p); });
  add("SurroundOcc", surround_occ_path(root / "dense_voxels_with_semantic", data.lidar_filename(i)),
      [](const fs::path& p) { return read_surround_occ(p); });
  return s;
}
shown of_town(idx i) {
  const town_dataset town({.scenes = 1, .seconds = 4, .height = 225, .width = 400, .threads = 0});
  auto f = town.frame(i);
  return {std::move(f.sample), {{"0.4 m, ego frame", std::move(f.occ3d)}}};
}

/// Depth at the pixels: exact where it is known, else where the LiDAR's points fall.
image depth_of(const sample& s, std::size_t v) {
  const auto& view = s.views[v];
  if (!s.exact_depth.empty()) { return colour_depth(s.exact_depth[v], view.camera.height, view.camera.width); }
  auto depth = make_tensor<float, 3>({1, view.camera.height, view.camera.width});
  for (const auto& point : s.lidar.points) {
    const vec3<double> p = view.T_cam_ref * vec3<double>(point);
    if (!(p.z > 0.1)) { continue; }
    const auto at = view.camera.project(p);
    if (!(at.x >= 0 && at.x < view.camera.width && at.y >= 0 && at.y < view.camera.height)) { continue; }
    float& d = depth(0, static_cast<idx>(at.y), static_cast<idx>(at.x));
    d = d > 0 ? std::min(d, static_cast<float>(p.z)) : static_cast<float>(p.z);
  }
  return pipeline::depth_picture(depth, 0, view.camera.width / 500);
}

} // namespace

int main(int argc, char** argv) {
  std::string root, out = "look";
  idx index = 0;
  CLI::App app{"Shows one key frame of a data set in the nuScenes format, or of the town."};
  app.add_option("root", root, "folder of the data set, or of its tables; none: a frame of the town");
  app.add_option("--sample", index, "which key frame")->capture_default_str();
  app.add_option("--out", out, "folder for the page")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int status = app.exit(e);
    return status == 0 ? 0 : 2; // a wrong call
  }
  try {
    const fs::path folder(out);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error || !fs::is_directory(folder)) {
      raise<file_error>("look_at_data: cannot make the folder ", out, " (", error ? error.message() : "it is a file",
                        "); give another one to --out");
    }
    const shown s = root.empty() ? of_town(index) : of_data_set(root, index);
    const auto save = [&](const std::string& name, const image& picture) {
      write_png(folder / name, picture);
      return name;
    };
    pipeline::page page(s.frame.scene + ", " + s.frame.token);
    page.text(concat(s.frame.boxes.size(), " boxes, ", s.frame.lidar.points.size(), " LiDAR points."));
    page.heading("Cameras");
    for (std::size_t v = 0; v < s.frame.views.size(); ++v) {
      const auto& view = s.frame.views[v];
      image boxes = view.picture;
      pipeline::draw_boxes(boxes, view.camera, view.T_cam_ref, s.frame.boxes, view.camera.width / 400.0);
      const std::string depth = s.frame.exact_depth.empty() ? "LiDAR depth" : "depth";
      page.subheading(view.name).figures({{"boxes", save(view.name + "_boxes.png", boxes)},
                                          {depth, save(view.name + "_depth.png", depth_of(s.frame, v))}});
    }
    pipeline::bird_eye_view above;
    pipeline::draw_points(above, s.frame.lidar.points);
    pipeline::draw_boxes(above, s.frame.boxes, 1.6, std::nullopt, 1);
    page.heading("From above")
        .text("100 m x 100 m, rings every 10 m; the vehicle looks up. Arrows: one second of motion.")
        .figures({{"LiDAR and boxes", save("above.png", above.picture)}}, false);
    cpu exec;
    for (std::size_t k = 0; k < s.occupancy.size(); ++k) {
      const auto& [name, o] = s.occupancy[k];
      const auto colours = pipeline::palette_of(o);
      const std::string number = std::to_string(k);
      page.heading("Occupancy, " + name);
      std::vector<pipeline::figure> pictures{
          {"in perspective", save("occupancy" + number + ".png",
                                  pipeline::occupancy_picture(exec, o, colours, pipeline::chase_view(450, 800)))},
          {"from above", save("occupancy" + number + "_above.png", pipeline::occupancy_from_above(o, colours, 2))}};
      if (!o.flow.empty()) {
        pictures.emplace_back("flow", save("occupancy" + number + "_flow.png", pipeline::flow_from_above(o, 2)));
      }
      page.figures(pictures, false);
    }
    if (!s.occupancy.empty()) {
      const auto& o = s.occupancy.front().second;
      pipeline::write_voxels_ply(folder / "occupancy.ply", o, pipeline::palette_of(o));
    }
    const std::string html = page.html();
    write_file_atomic(folder / "index.html", bytes_of(html));
    std::printf("%s: %zu boxes, %zu points, %zu occupancy volumes\n", (folder / "index.html").c_str(),
                s.frame.boxes.size(), s.frame.lidar.points.size(), s.occupancy.size());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
