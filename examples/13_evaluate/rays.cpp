// SPDX-License-Identifier: Apache-2.0
// What lies in the future and along rays: both need to know which key frame follows which.
#include "evaluate.hpp"

#include <sqs/data/occupancy_files.hpp>
#include <sqs/metric/occupancy_scores.hpp>
#include <sqs/pipeline/ground_truth.hpp>

namespace evaluate {

table rays(const options& o) {
  const bool occ3d = o.protocol == "occ3d";
  const auto data = key_frames(o.nuscenes, o);
  const auto files = paired_files(o, ".npz");
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
  const auto data = key_frames(o.nuscenes, o);
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

} // namespace evaluate
