// SPDX-License-Identifier: Apache-2.0
// Background  Data to train and compare on, made instead of recorded: a town with traffic, seen by the sensors of a
//             nuScenes car, with exact labels.
// New here    town_dataset, write_town.
// Builds on   07.
// Run         make_town --scenes 4 --height 900 --width 1600 --out town
//             then: pretrain_sqs --data nuscenes:town, or any reader of the nuScenes format
// Expect      the folders of nuScenes, Occ3D, OpenOcc and SurroundOcc; about two seconds per key frame on two cores.
#include <CLI/CLI.hpp>

#include <sqs/data/nuscenes.hpp>
#include <sqs/data/town/writer.hpp>
#include <sqs/pipeline/progress.hpp>

#include <unistd.h>

#include <cstdio>

using namespace sqs;

int main(int argc, char** argv) {
  std::string out = "town", split = "train";
  town_options options{.scenes = 1, .seconds = 1, .height = 225, .width = 400, .threads = 0};
  town_write_options files;
  bool quiet = false;
  CLI::App app{"Writes scenes of a procedural town in the layout of nuScenes."};
  app.add_option("--out", out, "folder to write to")->capture_default_str();
  app.add_option("--scenes", options.scenes, "how many; an official split is 700 (train) or 150 (val, test) of 8 s")
      ->check(CLI::Range(1, 700))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each scene; two key frames per second")->capture_default_str();
  app.add_option("--split", split, "which town")->check(CLI::IsMember({"train", "val", "test"}))->capture_default_str();
  app.add_option("--height", options.height, "of the pictures")->check(CLI::Range(16, 4096))->capture_default_str();
  app.add_option("--width", options.width, "of the pictures; nuScenes' are 900 x 1600")
      ->check(CLI::Range(16, 4096))
      ->capture_default_str();
  app.add_option("--lidar-sweeps", files.lidar_sweeps, "turns between two key frames")->capture_default_str();
  app.add_option("--camera-sweeps", files.camera_sweeps, "pictures between two key frames, per camera")
      ->capture_default_str();
  app.add_flag("--open-occupancy", files.open_occupancy,
               "labels of nuScenes-Occupancy too: 0.2 m, 27 MB per key frame");
  app.add_option("--threads", options.threads, "0: all cores")->capture_default_str();
  app.add_flag("--replace", files.replace, "remove a town that is there already");
  app.add_flag("--quiet", quiet, "no progress");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int status = app.exit(e);
    return status == 0 ? 0 : 2; // a wrong call
  }
  try {
    options.split = split == "train" ? town_split::train : (split == "val" ? town_split::val : town_split::test);
    const town_dataset town(options);
    pipeline::progress_bar bar(quiet ? nullptr : stderr, isatty(2) != 0, "writing " + split, 0, town.size());
    write_town(town, out, files, [&](idx done, idx) { bar.update(done, "key frames"); });
    const nuscenes_dataset read(out);
    std::printf("%s: %lld key frames of %lld scenes, %zu boxes in the first\n", out.c_str(),
                static_cast<long long>(read.size()), static_cast<long long>(options.scenes), read.boxes(0).size());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
