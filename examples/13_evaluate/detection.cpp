// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/metric/detection_json.hpp>
#include <sqs/pipeline/box_pictures.hpp>
#include <sqs/pipeline/ground_truth.hpp>
#include <sqs/sensor/augment_image.hpp>

#include <unordered_map>

namespace evaluate {
namespace {

using samples = std::vector<metric::detection_sample>;

/// The mean AP of one frame over the classes it has.
double frame_ap(cpu& exec, const metric::detection_sample& truth, const metric::detection_sample& found) {
  const auto& config = metric::detection_cvpr_2019;
  const auto m = metric::evaluate_detection(exec, {&truth, 1}, {&found, 1}, config);
  std::array<bool, 10> there{};
  for (const auto& b : truth.boxes) {
    const auto label = static_cast<std::size_t>(b.label);
    const auto d = b.translation - truth.ego;
    there[label] = there[label] || (b.points != 0 && std::hypot(d.x, d.y) < config.class_range[label]);
  }
  double sum = 0;
  int classes = 0;
  for (std::size_t c = 0; c < there.size(); ++c) {
    if (there[c]) { sum += m.class_ap[c], ++classes; }
  }
  return classes == 0 ? std::nan("") : sum / classes;
}

/// Boxes of the global frame in ref: truth with a point inside, predictions with the score at least.
std::vector<box3d> boxes_in(const metric::detection_sample& s, const se3<double>& T_ref_global, double least_score) {
  std::vector<box3d> out;
  for (const auto& b : s.boxes) {
    if (b.points == 0 || (b.points < 0 && b.score < least_score)) { continue; }
    const mat3<double> turn = T_ref_global.rotation * rotation_matrix(normalized(b.rotation));
    const vec3<double> v = T_ref_global.rotation * vec3<double>{b.velocity.x, b.velocity.y, 0};
    auto& box = out.emplace_back();
    box.center = T_ref_global * b.translation, box.size = {b.size.y, b.size.x, b.size.z};
    box.yaw = std::atan2(turn(1, 0), turn(0, 0)), box.velocity = {v.x, v.y};
    box.category = detection_class_names[static_cast<std::size_t>(b.label)];
  }
  return out;
}

/// The six pictures, small, those of the front above, with boxes.
image cameras(const sqs::sample& s, std::span<const box3d> boxes) {
  constexpr int width = 480;
  std::vector<image> views;
  for (const std::size_t v : {2u, 0u, 1u, 4u, 3u, 5u}) { // of camera_names: from left to right
    auto camera = s.views[v].camera;
    const double scale = static_cast<double>(width) / camera.width;
    const int height = std::max(1, static_cast<int>(camera.height * scale + 0.5));
    const double down = static_cast<double>(height) / camera.height;
    camera = {camera.fx * scale, camera.fy * down, camera.cx * scale, camera.cy * down, width, height};
    pipeline::draw_boxes(views.emplace_back(resized(s.views[v].picture, height, width)), camera, s.views[v].T_cam_ref,
                         boxes, 1.4);
  }
  return pipeline::beside(views, 3, 4);
}

std::vector<shown> frame_pictures(const nuscenes_dataset& data, idx i, const metric::detection_sample& truth,
                                  const metric::detection_sample& found, double least_score) {
  const auto T_ref_global = inverse(data.T_global_ref(i));
  const auto wanted = boxes_in(truth, T_ref_global, 0), seen = boxes_in(found, T_ref_global, least_score);
  std::optional<sqs::sample> recorded; // tables alone are enough to judge
  std::string absent;
  try {
    recorded = data.sample(i);
  } catch (const file_error& e) { absent = fmt::format(" Without LiDAR and pictures: {}", e.what()); }
  const auto above = [&](const std::vector<box3d>& boxes) {
    pipeline::bird_eye_view view(50, 700);
    if (recorded) { pipeline::draw_points(view, recorded->lidar.points); }
    pipeline::draw_boxes(view, boxes, 1.6, std::nullopt, 1);
    return view.picture;
  };
  std::vector<shown> out;
  out.push_back({"above",
                 fmt::format("{} true boxes with a point inside, {} of {} predicted with a score of {} or more; 100 m, "
                             "rings every 10 m, arrows: one second.{}",
                             wanted.size(), seen.size(), found.boxes.size(), least_score, absent),
                 pipeline::beside(above(wanted), above(seen))});
  if (recorded) {
    const std::array<image, 2> both{cameras(*recorded, wanted), cameras(*recorded, seen)};
    out.push_back({"cameras", "above truth, below prediction", pipeline::beside(both, 1, 12)});
  }
  return out;
}

void write_pictures(cpu& exec, const options& o, gallery& pictures, const table& t, const nuscenes_dataset& data,
                    const samples& truth, const samples& found) {
  std::unordered_map<std::string_view, std::size_t> place;
  for (std::size_t i = 0; i < found.size(); ++i) { place.emplace(found[i].token, i); }
  const auto found_of = [&](std::size_t i) -> const auto& { return found[place.at(truth[i].token)]; };
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const std::string name = data.scene(static_cast<idx>(i)) + "/" + truth[i].token;
    pictures.add(name, frame_ap(exec, truth[i], found_of(i)), i);
  }
  legend colours;
  for (const auto name : detection_class_names) { colours.emplace_back(name, pipeline::category_colour(name)); }
  pictures.write(t, "mean AP of its classes", "", colours, [&](std::size_t i) {
    return frame_pictures(data, static_cast<idx>(i), truth[i], found_of(i), o.least_score);
  });
}

} // namespace

table detection(const options& o) {
  gallery pictures(o);
  const auto data = key_frames(o.ground_truth, o);
  const auto truth = pipeline::detection_ground_truth(data.tables());
  const auto result = metric::read_detection_result(o.prediction);
  cpu exec{.threads = o.threads};
  const auto m = metric::evaluate_detection(exec, truth, result.samples);
  table t{fmt::format("nuScenes detection (detection_cvpr_2019), {} samples", truth.size()),
          {"AP", "AP@0.5", "AP@1", "AP@2", "AP@4", "ATE", "ASE", "AOE", "AVE", "AAE"},
          {}};
  for (const std::size_t c : metric::detection_cvpr_2019.order) {
    std::vector<double> row{m.class_ap[c]};
    row.insert(row.end(), m.ap[c].begin(), m.ap[c].end());
    row.insert(row.end(), m.errors[c].begin(), m.errors[c].end());
    t.rows.emplace_back(detection_class_names[c], row);
  }
  const double none = std::nan("");
  const auto& e = m.mean_errors;
  t.rows.push_back({"mean", {m.mean_ap, none, none, none, none, e[0], e[1], e[2], e[3], e[4]}});
  t.rows.push_back({"NDS", {m.nd_score}});
  if (pictures.wanted()) { write_pictures(exec, o, pictures, t, data, truth, result.samples); }
  return t;
}

} // namespace evaluate
