// SPDX-License-Identifier: Apache-2.0
// Truth beside prediction: which frames are shown, and how voxels are drawn.
#include "evaluate.hpp"

#include <sqs/data/image_io.hpp>
#include <sqs/pipeline/occupancy_pictures.hpp>
#include <sqs/pipeline/page.hpp>

#include <algorithm>
#include <cmath>

namespace evaluate {

/// What every page says: one that does not is somebody else's.
constexpr const char* beside_text = "Truth on the left, prediction on the right. ";

gallery::gallery(const options& o) : folder_(o.pictures), each_(static_cast<std::size_t>(o.frames)), quiet_(o.quiet) {
  if (!wanted()) { return; }
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error || !fs::is_directory(folder_)) {
    raise<file_error>("sqs::evaluate: cannot make the folder ", folder_.string(), " (",
                      error ? error.message() : "it is a file", "); give another one to --pictures");
  }
  const fs::path index = folder_ / "index.html";
  if (fs::exists(index) && text_of(read_file(index)).find(beside_text) == std::string::npos) {
    raise<file_error>("sqs::evaluate: ", index.string(), " is the page of something else; give another folder to ",
                      "--pictures");
  }
}

void gallery::add(std::string name, double score, std::size_t index) {
  if (wanted() && !std::isnan(score)) { frames_.push_back({std::move(name), score, index}); }
}

void gallery::write(const table& t, const std::string& measure, const std::string& about, const legend& colours,
                    const std::function<std::vector<shown>(std::size_t)>& draw) const {
  if (!wanted()) { return; }
  auto sorted = frames_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const frame& a, const frame& b) { return a.score < b.score; });
  const std::size_t worst = std::min(each_, sorted.size()), best = std::min(each_, sorted.size() - worst);
  pipeline::page page(t.title);
  std::vector<std::string> header{""};
  header.insert(header.end(), t.columns.begin(), t.columns.end());
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, values] : t.rows) {
    auto& row = rows.emplace_back(1, name);
    for (const double v : values) { row.push_back(std::isnan(v) ? "-" : fmt::format("{:.4f}", v)); }
  }
  page.table(header, rows).text(beside_text + about).legend(colours);
  options o;
  o.quiet = quiet_;
  auto bar = progress(o, "pictures", worst + best);
  const auto show = [&](const char* group, std::size_t rank, const frame& f) {
    page.subheading(fmt::format("{} {}: {}, {} {:.4f}", group, rank, f.name, measure, f.score));
    for (const auto& [name, caption, picture] : draw(f.index)) {
      const std::string file = fmt::format("{}{}_{}.png", group, rank, name);
      write_png(folder_ / file, picture);
      page.figures({{caption, file}}, false);
    }
  };
  page.heading("Frames that did worst");
  for (std::size_t i = 0; i < worst; ++i) {
    show("worst", i + 1, sorted[i]);
    bar.update(static_cast<std::int64_t>(i + 1), "");
  }
  page.heading("Frames that did best");
  for (std::size_t i = 0; i < best; ++i) {
    show("best", i + 1, sorted[sorted.size() - 1 - i]);
    bar.update(static_cast<std::int64_t>(worst + i + 1), "");
  }
  if (best == 0) { page.text("All frames are shown above."); }
  const std::string html = page.html();
  write_file_atomic(folder_ / "index.html", std::as_bytes(std::span<const char>(html)));
}

namespace {

/// Whether the grid's frame is the LiDAR's, y ahead; else x is ahead.
bool ahead_is_y(const occupancy_grid& g) { return g == surround_occ_grid || g == open_occupancy_grid; }

/// Behind and above the vehicle.
pipeline::viewpoint behind(const occupancy_grid& g) {
  constexpr int height = 450, width = 800;
  if (g == semantic_kitti_grid) { return pipeline::look_at({-14, 0, 13}, {16, 0, -2}, height, width, 62); }
  if (ahead_is_y(g)) { return pipeline::look_at({0, -26, 15.2}, {0, 9, -1.8}, height, width, 62); }
  return pipeline::chase_view(height, width);
}

/// A quarter turn to the right: what pointed left points up.
image turned_right(const image& in) {
  image out(in.width, in.height);
  for (int y = 0; y < in.height; ++y) {
    for (int x = 0; x < in.width; ++x) { std::copy_n(in.at(y, x), 3, out.at(x, in.height - 1 - y)); }
  }
  return out;
}
/// Pictures from above have the grid's x upwards; here the vehicle looks up.
image ahead_up(const occupancy_grid& g, image picture) {
  return ahead_is_y(g) ? turned_right(picture) : std::move(picture);
}

} // namespace

image perspectives(cpu& exec, const occupancy_labels& truth, const occupancy_labels& found) {
  const auto colours = pipeline::palette_of(truth);
  const auto view = behind(truth.grid);
  return pipeline::beside(pipeline::occupancy_picture(exec, truth, colours, view),
                          pipeline::occupancy_picture(exec, found, colours, view));
}

legend colours_of(const occupancy_labels& truth) {
  const auto palette = pipeline::palette_of(truth);
  const auto named = [&](const auto& names) {
    legend out;
    for (std::size_t i = 0; i < std::min(std::size(names), palette.size()); ++i) {
      if (static_cast<int>(i) != truth.free) { out.emplace_back(std::string(names[i]), palette[i]); }
    }
    return out;
  };
  if (truth.free == open_occ_free) { return named(open_occ_class_names); }
  return truth.free == 0 ? named(semantic_kitti_class_names) : named(occupancy_class_names);
}

std::vector<shown> truth_beside_prediction(cpu& exec, occupancy_labels truth, occupancy_labels found,
                                           metric::occupancy_mask mask) {
  const auto& seen = mask == metric::occupancy_mask::lidar ? truth.mask_lidar : truth.mask_camera;
  for (std::size_t i = 0; i < truth.semantics.size(); ++i) {
    const bool judged =
        truth.semantics[i] != occupancy_labels::ignore && (mask == metric::occupancy_mask::none || seen[i] != 0);
    if (judged) { continue; }
    truth.semantics[i] = static_cast<std::uint8_t>(truth.free);
    found.semantics[i] = static_cast<std::uint8_t>(found.free);
  }
  const auto colours = pipeline::palette_of(truth);
  const int zoom = std::max(1, 600 / truth.grid.size[0]);
  const auto above = [&](const occupancy_labels& o) {
    return ahead_up(o.grid, pipeline::occupancy_from_above(o, colours, zoom));
  };
  std::vector<shown> out;
  out.push_back({"perspective", "from behind the vehicle", perspectives(exec, truth, found)});
  out.push_back({"above", "from above, the vehicle looks up", pipeline::beside(above(truth), above(found))});
  if (!truth.flow.empty() && !found.flow.empty()) {
    out.push_back({"flow", "flow: what moves, and where it will be in one second",
                   pipeline::beside(ahead_up(truth.grid, pipeline::flow_from_above(truth, zoom)),
                                    ahead_up(found.grid, pipeline::flow_from_above(found, zoom)))});
  }
  return out;
}

} // namespace evaluate
