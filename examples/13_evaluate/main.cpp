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
//             Each takes --json FILE for the numbers; the first four --pictures FOLDER for a page with truth beside
//             prediction. Without arguments: two made-up files are judged.
// Expect      a table of every number of the protocol.
#include "evaluate.hpp"

#include <sqs/data/occupancy_files.hpp>

#include <CLI/CLI.hpp>

#include <fstream>

using namespace evaluate;

/// Two made-up data sets of one sample each, judged like real ones.
int demo(options o) {
  const auto folder = fs::temp_directory_path() / fmt::format("sqs_evaluate_{}", getpid());
  const struct cleaner {
    fs::path folder;
    ~cleaner() {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
  } at_end{folder};
  const auto in = [&](const char* name) { return (folder / name).string(); };
  auto truth = occupancy_labels::empty(occ3d_grid, occupancy_free), found = truth;
  for (int x = 80; x < 120; ++x) {
    for (int y = 80; y < 120; ++y) {
      truth.semantics[static_cast<std::size_t>(truth.grid.index(x, y, 2))] = 11;
      found.semantics[static_cast<std::size_t>(truth.grid.index(x, y, y < 115 ? 2 : 3))] = 11;
    }
  }
  write_occ3d(in("truth/scene/sample/labels.npz"), truth);
  write_occ3d(in("found/scene/sample/labels.npz"), found);
  o.ground_truth = in("truth"), o.prediction = in("found"), o.protocol = "occ3d", o.quiet = true;
  occupancy(o).print();
  std::ofstream(in("references.json")) << R"({"1": ["two cars wait at the crossing"], "2": ["turn left", "go left"]})";
  std::ofstream(in("said.json")) << R"({"1": "two cars stand at the crossing", "2": "turn left"})";
  o.ground_truth = in("references.json"), o.prediction = in("said.json");
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
  const auto with_pictures = [&](CLI::App* t) {
    t->add_option("--pictures", o.pictures,
                  "folder for a page with truth beside prediction: the worst and best frames");
    t->add_option("--frames", o.frames, "of the worst, and of the best, for --pictures")->check(CLI::Range(1, 1000));
  };
  auto* boxes = task("detection", "nuScenes detection score: a data set, and results.json of the devkit", "--result");
  const auto of_split = [&](CLI::App* t) {
    t->add_option("--split", o.split, "train, val, mini_train, mini_val; else all samples");
    t->add_option("--version", o.version, "folder of the tables, where there are several");
  };
  of_split(boxes);
  with_pictures(boxes);
  boxes->add_option("--least-score", o.least_score, "of the boxes in pictures; the numbers count all")
      ->check(CLI::Range(-1e9, 1e9));
  auto* voxels =
      task("occupancy",
           "IoU of label files; predictions in the same format and places, or volumes [X, Y, Z] instead of rows",
           "--prediction");
  choice(voxels, occupancy_protocols());
  of_split(voxels);
  with_pictures(voxels);
  voxels->add_option("--nuscenes", o.nuscenes, "the data set, where a split's label files are named by LiDAR files");
  voxels->add_option("--mask", o.mask, "of occ3d")->check(CLI::IsMember({"camera", "lidar", "none"}));
  auto* ray_iou = task("rays", "RayIoU, mAVE and OccScore: SCENE/TOKEN/labels.npz", "--prediction");
  ray_iou->add_option("--nuscenes", o.nuscenes, "the data set, for where the LiDAR stood")->required();
  of_split(ray_iou);
  with_pictures(ray_iou);
  choice(ray_iou, {"occ3d", "open-occ"});
  ray_iou->add_flag("--f16", o.f16, "round to half precision, as submissions do");
  auto* forecasts = task("forecast", "IoU 1, 2, 3 s ahead: SCENE/TOKEN/labels_{0,1,2,3}s.npz", "--prediction");
  forecasts->add_option("--nuscenes", o.nuscenes, "the data set, for what follows what")->required();
  of_split(forecasts);
  with_pictures(forecasts);
  forecasts->add_flag("--partial", o.partial, "judge the forecasts there are, where some are missing");
  choice(forecasts, {"sparse-world", "occ-world"});
  auto* plans = task("planning", "L2 and collisions: {sample: six points at 0.5 .. 3 s, x ahead, y left}", "--result");
  of_split(plans);
  choice(plans, {"polygons", "st-p3", "omni-drive"});
  plans->add_option(
      "--drivable", o.drivable,
      "where one may drive, for OmniDrive's boundary rate: 'town' for a data set of make_town, else a folder "
      "of SAMPLE.npy, [1000, 1000] cells of 0.1 m, 0: not; row y and column x from -50 m, x ahead, y left. "
      "The devkit: get_map_mask((x, y, 100, 100), yaw in degrees, ['drivable_area'], (1000, 1000))[0]");
  auto* texts = task("captions", "CIDEr, BLEU, ROUGE-L: {id: [references]} and {id: sentence}", "--result");
  texts->add_option("--words", o.words)->check(CLI::IsMember({"as-written", "lower-case", "ptb"}));
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
