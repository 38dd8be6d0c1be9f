// SPDX-License-Identifier: Apache-2.0
// Background  Benchmarks agree on a name ("mIoU", "NDS", "collision rate") and differ in what they count. Here each is
//             the official one, to the last digit, and says so in the table.
// New here    metric/: detection, occupancy, rays, planning, captions; ground truth from data sets.
// Builds on   07 (options and progress of a program).
// Run         evaluate detection --ground-truth NUSCENES --result results.json
//             evaluate occupancy --protocol occ3d --ground-truth gts --prediction mine
//             evaluate rays --nuscenes NUSCENES --ground-truth openocc_v2 --prediction mine --protocol open-occ
//             evaluate forecast --nuscenes NUSCENES --ground-truth gts --prediction mine --protocol sparse-world
//             evaluate planning --ground-truth NUSCENES --result plans.json --protocol omni-drive
//             evaluate captions --ground-truth references.json --result said.json
//             Each takes --json FILE for the numbers. Without arguments: two made-up files are judged.
// Expect      a table of every number of the protocol.
#include <sqs/data/nuscenes_splits.hpp>
#include <sqs/data/occupancy_files.hpp>
#include <sqs/data/semantic_kitti.hpp>
#include <sqs/metric/captions.hpp>
#include <sqs/metric/detection_json.hpp>
#include <sqs/metric/occupancy_scores.hpp>
#include <sqs/pipeline/ground_truth.hpp>
#include <sqs/pipeline/progress.hpp>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <fstream>
#include <unistd.h>

using namespace sqs;
namespace fs = std::filesystem;

struct options {
  std::string ground_truth, prediction, nuscenes, split, json, protocol, mask = "camera", words = "as-written";
  int threads = 0;
  bool f16 = false, quiet = false;
};

/// Rows of numbers under column titles: printed, and saved as JSON.
struct table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::pair<std::string, std::vector<double>>> rows;

  void print() const {
    fmt::print("{}\n{:28}", title, "");
    for (const auto& c : columns) { fmt::print("{:>12}", c); }
    fmt::print("\n");
    for (const auto& [name, values] : rows) {
      fmt::print("{:28}", name);
      for (const double v : values) { fmt::print("{:>12}", std::isnan(v) ? "-" : fmt::format("{:.4f}", v)); }
      fmt::print("\n");
    }
  }
  void save(const std::string& path) const {
    std::string out = "{\"protocol\": " + json_quoted(title);
    for (const auto& [name, values] : rows) {
      out += ",\n " + json_quoted(name) + ": {";
      for (std::size_t i = 0; i < values.size(); ++i) {
        out += (i == 0 ? "" : ", ") + json_quoted(columns[i]) + ": ";
        out += std::isfinite(values[i]) ? fmt::format("{}", values[i]) : "null"; // the shortest text that reads back
      }
      out += "}";
    }
    out += "}\n";
    write_file_atomic(path, std::as_bytes(std::span<const char>(out)));
  }
};

pipeline::progress_bar progress(const options& o, const char* title, std::size_t total) {
  return {o.quiet ? nullptr : stderr, isatty(2) != 0, title, 0, static_cast<std::int64_t>(total)};
}
std::vector<double> list(const auto& values) { return {values.begin(), values.end()}; }

/// The label files below a folder, as paths relative to it, and that each has its prediction.
std::vector<fs::path> paired_files(const fs::path& truth, const fs::path& prediction, const std::string& ending) {
  std::vector<fs::path> found, missing;
  for (const auto& entry : fs::recursive_directory_iterator(truth)) {
    if (entry.is_regular_file() && entry.path().extension() == ending) {
      found.push_back(fs::relative(entry.path(), truth));
    }
  }
  std::sort(found.begin(), found.end());
  for (const auto& f : found) {
    if (!fs::exists(prediction / f)) { missing.push_back(f); }
  }
  if (found.empty()) {
    raise<file_error>("sqs::evaluate: there is no ", ending, " file below ", truth.string(),
                      "; give the folder that holds the label files of the protocol");
  }
  if (!missing.empty()) {
    raise<file_error>("sqs::evaluate: ", missing.size(), " of ", found.size(),
                      " label files have no prediction, the "
                      "first is ",
                      (prediction / missing[0]).string(), "; name predictions as the labels are named");
  }
  return found;
}

table detection(const options& o) {
  nuscenes_options which;
  if (!o.split.empty()) { which.scenes = nuscenes_split(o.split); }
  const nuscenes_dataset data(o.ground_truth, which);
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
  return t;
}

table occupancy(const options& o) {
  struct kind {
    metric::occupancy_protocol protocol;
    const char* ending;
    occupancy_labels (*read)(const fs::path&);
  };
  const std::map<std::string, kind> kinds{
      {"occ3d", {metric::occ3d_protocol, ".npz", [](const fs::path& p) { return read_occ3d(p); }}},
      {"surround-occ", {metric::surround_occ_protocol, ".npy", [](const fs::path& p) { return read_surround_occ(p); }}},
      {"open-occupancy",
       {metric::open_occupancy_protocol, ".npy", [](const fs::path& p) { return read_open_occupancy(p); }}},
      {"semantic-kitti", {metric::semantic_kitti_protocol, ".label", [](const fs::path& p) {
                            const auto invalid = fs::path(p).replace_extension(".invalid");
                            return read_semantic_kitti(p, fs::exists(invalid) ? invalid : fs::path());
                          }}}};
  const kind& k = kinds.at(o.protocol);
  const bool occ3d = o.protocol == "occ3d";
  const auto mask = !occ3d || o.mask == "none" ? metric::occupancy_mask::none
                    : o.mask == "lidar"        ? metric::occupancy_mask::lidar
                                               : metric::occupancy_mask::camera;
  const auto files = paired_files(o.ground_truth, o.prediction, k.ending);
  auto bar = progress(o, "occupancy", files.size());
  cpu exec{.threads = o.threads};
  auto counts = metric::make_counts(k.protocol);
  for (const auto& f : files) {
    const auto truth = k.read(fs::path(o.ground_truth) / f);
    auto found = k.read(fs::path(o.prediction) / f).semantics;
    // Sparse files mark class 0 as ignored; predicted, it is a class like any other.
    if (!occ3d) { std::replace(found.begin(), found.end(), occupancy_labels::ignore, std::uint8_t{0}); }
    metric::add_voxels(exec, counts, truth, found, mask);
    bar.update(counts.samples, "");
  }
  const auto s = metric::score_occupancy(counts, k.protocol);
  table t{fmt::format("occupancy, {}{}, {} samples", o.protocol, occ3d ? ", mask " + o.mask : "", files.size()),
          {"IoU"},
          {}};
  for (int c = k.protocol.first; c <= k.protocol.last; ++c) {
    const auto i = static_cast<std::size_t>(c);
    t.rows.push_back(
        {std::string(o.protocol == "semantic-kitti" ? semantic_kitti_class_names[i] : occupancy_class_names[i]),
         {s.iou[i]}});
  }
  t.rows.push_back({"mIoU", {s.miou}});
  t.rows.push_back({"occupied", {s.geometric_iou}});
  t.rows.push_back({"occupied, precision", {s.precision}});
  t.rows.push_back({"occupied, recall", {s.recall}});
  return t;
}

table rays(const options& o) {
  const bool occ3d = o.protocol == "occ3d";
  const nuscenes_dataset data(o.nuscenes);
  const auto files = paired_files(o.ground_truth, o.prediction, ".npz");
  auto config = occ3d ? metric::occ3d_rays() : metric::open_occ_rays();
  config.quantize_f16 = o.f16;
  const auto read = [&](const fs::path& p) { return occ3d ? read_occ3d(p) : read_open_occ(p); };
  metric::ray_counts counts(occ3d ? occupancy_free : open_occ_free);
  auto bar = progress(o, "rays", files.size());
  cpu exec{.threads = o.threads};
  for (const auto& f : files) {
    const std::string token = f.parent_path().filename().string(); // SCENE/TOKEN/labels.npz
    const idx i = data.index_of(token);
    if (i < 0) {
      raise<file_error>("sqs::evaluate: ", f.string(), " belongs to no sample of ", o.nuscenes,
                        "; label files lie in a folder named by the token of their sample");
    }
    metric::add_rays(exec, counts, read(fs::path(o.ground_truth) / f), read(fs::path(o.prediction) / f),
                     pipeline::ray_origins(data, i), config);
    bar.update(counts.samples, "");
  }
  const auto s = metric::score_rays(counts, config);
  table t{fmt::format("RayIoU, {}, {} samples", o.protocol, files.size()), {"@1", "@2", "@4", "AVE tp", "AVE all"}, {}};
  for (std::size_t c = 0; c < counts.truth.size(); ++c) {
    t.rows.push_back({std::string(occ3d ? occupancy_class_names[c] : open_occ_class_names[c]),
                      {s.iou[0][c], s.iou[1][c], s.iou[2][c], s.ave_tp[c], s.ave_all[c]}});
  }
  t.rows.push_back({"mean", {s.at[0], s.at[1], s.at[2], s.mave_tp, s.mave_all}});
  t.rows.push_back({"RayIoU", {s.ray_iou}});
  if (!occ3d) { t.rows.push_back({"OccScore (AVE tp)", {metric::occ_score(s.ray_iou, s.mave_tp)}}); }
  return t;
}

/// SCENE/TOKEN/labels_{0,1,2,3}s.npz: what was foreseen at key frame TOKEN, each in the vehicle's frame of its moment.
table forecast(const options& o) {
  const nuscenes_dataset data(o.nuscenes);
  const fs::path truth = o.ground_truth, prediction = o.prediction;
  const bool sparse_world = o.protocol == "sparse-world";
  const auto protocol = sparse_world ? metric::forecast_sparse_world_protocol : metric::forecast_occ_world_protocol;
  std::array<metric::confusion_counts, 4> counts;
  counts.fill(metric::make_counts(protocol));
  auto bar = progress(o, "forecasts", static_cast<std::size_t>(data.size()));
  cpu exec{.threads = o.threads};
  for (idx i = 0; i < data.size(); ++i) {
    const fs::path folder = prediction / data.scene(i) / data.token(i);
    bar.update(i + 1, "");
    if (!fs::exists(folder)) { continue; } // no forecast begins here
    idx at = i;
    for (std::size_t second = 0; second < 4; ++second) {
      for (int frame = 0; second > 0 && frame < 2; ++frame) { at = at < 0 ? -1 : data.next(at); }
      if (at < 0) {
        raise<file_error>("sqs::evaluate: ", folder.string(), " foresees ", second, " s, but its scene ends before; ",
                          "predict only where three seconds follow");
      }
      metric::add_voxels(exec, counts[second], read_occ3d(occ3d_path(truth, data.scene(at), data.token(at))),
                         read_occ3d(folder / fmt::format("labels_{}s.npz", second)).semantics,
                         metric::occupancy_mask::none);
    }
  }
  if (counts[0].samples == 0) {
    raise<file_error>("sqs::evaluate: there is no forecast in ", prediction.string(),
                      "; a forecast is SCENE/TOKEN/labels_0s.npz to labels_3s.npz for key frames of ", o.nuscenes);
  }
  const auto s = metric::score_forecast(counts, protocol);
  const auto row = [&](auto&& value, double mean) {
    return std::vector<double>{value(s.at[0]), value(s.at[1]), value(s.at[2]), value(s.at[3]), mean};
  };
  return {fmt::format("forecast, {}, {} samples", o.protocol, counts[0].samples),
          {"0 s", "1 s", "2 s", "3 s", "mean 1-3 s"},
          {{"mIoU", row([](const auto& at) { return at.miou; }, s.miou)},
           {"IoU", row([](const auto& at) { return at.geometric_iou; }, s.iou)}}};
}

json_value read_json(const std::string& path) {
  const auto bytes = read_file(path);
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}
const json_value::object& members(const json_value& v, const std::string& path) {
  if (const auto* m = v.as<json_value::object>()) { return *m; }
  raise<file_error>("sqs::evaluate: ", path, " holds ", v.kind(), " instead of an object; see --help of the task");
}

table planning(const options& o) {
  const nuscenes_dataset data(o.ground_truth);
  const auto plans = read_json(o.prediction);
  const auto& list_of_plans = members(plans, o.prediction);
  const std::map<std::string, metric::collision_protocol> protocols{
      {"polygons", metric::collision_protocol::polygons},
      {"st-p3", metric::collision_protocol::st_p3},
      {"omni-drive", metric::collision_protocol::omni_drive}};
  for (const auto& [token, points] : list_of_plans) {
    const auto* steps = points.as<json_value::array>();
    if (data.index_of(token) < 0 || steps == nullptr || steps->size() != 6) {
      raise<file_error>("sqs::evaluate: ", o.prediction, ": '", token, "' is no sample of ", o.ground_truth,
                        " with a list of six points; a plan is {\"SAMPLE\": [[x, y], ...]}, x ahead and y left");
    }
  }
  metric::planning_counts counts;
  auto bar = progress(o, "plans", static_cast<std::size_t>(data.size()));
  for (idx i = 0; i < data.size(); ++i) {
    bar.update(i + 1, "");
    auto sample = pipeline::planning_ground_truth(data, i);
    if (!sample) { continue; } // less than three seconds follow
    const std::string token = data.token(i);
    const json_value* points = plans.find(token);
    if (points == nullptr) {
      raise<file_error>("sqs::evaluate: ", o.prediction, " has no plan for sample ", token,
                        ", which the protocol judges; every key frame with three seconds to come needs one");
    }
    for (const auto& p : *points->as<json_value::array>()) {
      const auto xy = json_fields(*points, o.prediction + ", sample " + token).numbers_of<2>(p, "point");
      sample->plan.push_back({xy[0], xy[1]});
    }
    metric::add_plan(counts, *sample, protocols.at(o.protocol));
  }
  const auto s = metric::score_planning(counts);
  const auto row = [](const metric::planning_scores::row& r) {
    return std::vector<double>{r.at[0], r.at[1], r.at[2], r.mean};
  };
  return {fmt::format("planning, collisions by {}, {} samples", o.protocol, counts.samples),
          {"1 s", "2 s", "3 s", "mean"},
          {{"L2 average, m", row(s.l2_average)},
           {"L2 final, m", row(s.l2_final)},
           {"collision, mean of steps", row(s.collision_steps)},
           {"collision, any step", row(s.collision_any)}}};
}

table captions(const options& o) {
  const auto said = read_json(o.prediction), wanted = read_json(o.ground_truth);
  std::vector<metric::caption> set;
  for (const auto& [id, references] : members(wanted, o.ground_truth)) {
    const json_fields f(said, o.prediction);
    auto& c = set.emplace_back();
    c.prediction = f.text(id.c_str());
    if (const auto* one = references.as<std::string>()) { c.references.push_back(*one); }
    if (const auto* many = references.as<json_value::array>()) {
      for (const auto& r : *many) {
        if (r.as<std::string>() == nullptr) { json_fields(wanted, o.ground_truth).fail(id.c_str(), "holds no text"); }
        c.references.push_back(*r.as<std::string>());
      }
    }
  }
  const std::map<std::string, metric::caption_words> words{{"as-written", metric::caption_words::as_written},
                                                           {"lower-case", metric::caption_words::lower_case},
                                                           {"penn-like", metric::caption_words::penn_like}};
  const auto s = metric::score_captions(set, words.at(o.words));
  return {fmt::format("captions, words {}, {} captions", o.words, set.size()),
          {"CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"},
          {{"all", {s.cider, s.bleu[0], s.bleu[1], s.bleu[2], s.bleu[3], s.rouge_l}}}};
}

/// Two made-up data sets of one sample each, judged like real ones.
int demo(options o) {
  auto truth = occupancy_labels::empty(occ3d_grid, occupancy_free), found = truth;
  for (int x = 80; x < 120; ++x) {
    for (int y = 80; y < 120; ++y) {
      truth.semantics[static_cast<std::size_t>(truth.grid.index(x, y, 2))] = 11;
      found.semantics[static_cast<std::size_t>(truth.grid.index(x, y, y < 115 ? 2 : 3))] = 11;
    }
  }
  write_occ3d("truth/scene/sample/labels.npz", truth);
  write_occ3d("found/scene/sample/labels.npz", found);
  o.ground_truth = "truth", o.prediction = "found", o.protocol = "occ3d", o.quiet = true;
  occupancy(o).print();
  std::ofstream("references.json") << R"({"1": ["two cars wait at the crossing"], "2": ["turn left", "go left"]})";
  std::ofstream("said.json") << R"({"1": "two cars stand at the crossing", "2": "turn left"})";
  o.ground_truth = "references.json", o.prediction = "said.json";
  captions(o).print();
  fmt::print("Your own results: evaluate --help\n");
  return 0;
}

int main(int argc, char** argv) {
  options o;
  CLI::App app{"Judges predictions by the official protocol of a benchmark."};
  app.option_defaults()->always_capture_default();
  const auto task = [&](const char* name, const char* what, const char* prediction) {
    auto* t = app.add_subcommand(name, what);
    t->add_option("--ground-truth", o.ground_truth)->required()->check(CLI::ExistingPath);
    t->add_option(prediction, o.prediction)->required()->check(CLI::ExistingPath);
    t->add_option("--json", o.json, "file for the numbers, all digits");
    t->add_option("--threads", o.threads, "0: all cores")->check(CLI::Range(0, 1024));
    t->add_flag("--quiet", o.quiet, "no progress");
    return t;
  };
  const auto choice = [&](CLI::App* t, std::vector<std::string> names) {
    o.protocol = names[0];
    t->add_option("--protocol", o.protocol)->required(names[0] != "polygons")->check(CLI::IsMember(names));
  };
  auto* boxes = task("detection", "nuScenes detection score: a data set, and results.json of the devkit", "--result");
  boxes->add_option("--split", o.split, "train, val, mini_train, mini_val; else all samples");
  auto* voxels = task("occupancy", "IoU of label files; predictions in the same format and places", "--prediction");
  choice(voxels, {"occ3d", "surround-occ", "open-occupancy", "semantic-kitti"});
  voxels->add_option("--mask", o.mask, "of occ3d")->check(CLI::IsMember({"camera", "lidar", "none"}));
  auto* ray_iou = task("rays", "RayIoU, mAVE and OccScore: SCENE/TOKEN/labels.npz", "--prediction");
  ray_iou->add_option("--nuscenes", o.nuscenes, "the data set, for where the LiDAR stood")->required();
  choice(ray_iou, {"occ3d", "open-occ"});
  ray_iou->add_flag("--f16", o.f16, "round to half precision, as submissions do");
  auto* forecasts = task("forecast", "IoU 1, 2, 3 s ahead: SCENE/TOKEN/labels_{0,1,2,3}s.npz", "--prediction");
  forecasts->add_option("--nuscenes", o.nuscenes, "the data set, for what follows what")->required();
  choice(forecasts, {"sparse-world", "occ-world"});
  auto* plans = task("planning", "L2 and collisions: {sample: six points at 0.5 .. 3 s, x ahead, y left}", "--result");
  choice(plans, {"polygons", "st-p3", "omni-drive"});
  auto* texts = task("captions", "CIDEr, BLEU, ROUGE-L: {id: [references]} and {id: sentence}", "--result");
  texts->add_option("--words", o.words)->check(CLI::IsMember({"as-written", "lower-case", "penn-like"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) { return app.exit(e); }
    fmt::print(stderr, "evaluate: {}\nRun with --help for the options.\n", e.what());
    return 2;
  }
  try {
    if (argc == 1) { return demo(o); }
    if (app.get_subcommands().empty()) { return 2; }
    const table t = boxes->parsed()       ? detection(o)
                    : voxels->parsed()    ? occupancy(o)
                    : ray_iou->parsed()   ? rays(o)
                    : forecasts->parsed() ? forecast(o)
                    : plans->parsed()     ? planning(o)
                                          : captions(o);
    t.print();
    if (!o.json.empty()) { t.save(o.json); }
  } catch (const std::exception& e) {
    fmt::print(stderr, "evaluate: {}\n", e.what());
    return 1;
  }
}
