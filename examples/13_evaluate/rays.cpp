// SPDX-License-Identifier: Apache-2.0
// What lies in the future and along rays: both need to know which key frame follows which.
#include "evaluate.hpp"

#include <sqs/data/occupancy_files.hpp>
#include <sqs/metric/occupancy_scores.hpp>
#include <sqs/metric/prediction_files.hpp>
#include <sqs/pipeline/ground_truth.hpp>

namespace evaluate {
namespace {

/// The hits of one frame: what was counted since `before`.
metric::ray_counts added(metric::ray_counts counts, const metric::ray_counts& before) {
  const auto subtract = [](auto& x, const auto& y) {
    for (std::size_t i = 0; i < x.size(); ++i) { x[i] -= y[i]; }
  };
  subtract(counts.truth, before.truth), subtract(counts.predicted, before.predicted);
  for (std::size_t d = 0; d < 3; ++d) { subtract(counts.right[d], before.right[d]); }
  return counts;
}

/// The key frames `seconds` after `i`, or -1 where the scene ends before.
idx later(const nuscenes_dataset& data, idx i, std::size_t seconds) {
  for (std::size_t k = 0; k < 2 * seconds && i >= 0; ++k) { i = data.next(i); }
  return i;
}

} // namespace

table rays(const options& o) {
  const bool occ3d = o.protocol == "occ3d";
  gallery pictures(o);
  const auto data = key_frames(o.nuscenes, o);
  const auto files = paired_files(o, ".npz");
  auto config = occ3d ? metric::occ3d_rays() : metric::open_occ_rays();
  config.quantize_f16 = o.f16;
  const auto read = [&](const fs::path& p) { return occ3d ? read_occ3d(p) : read_open_occ(p); };
  metric::ray_counts counts(occ3d ? occupancy_free : open_occ_free);
  auto bar = progress(o, "rays", files.size());
  cpu exec{.threads = o.threads};
  for (std::size_t n = 0; n < files.size(); ++n) {
    const auto& f = files[n];
    const std::string token = f.parent_path().filename().string(); // SCENE/TOKEN/labels.npz
    const idx i = data.index_of(token);
    if (i < 0) {
      raise<file_error>("sqs::evaluate: ", f.string(), " belongs to no sample of ", o.nuscenes,
                        "; label files lie in a folder named by the token of their sample");
    }
    const auto before = counts;
    const auto truth = read(fs::path(o.ground_truth) / f), found = read(fs::path(o.prediction) / f);
    metric::require_known_classes(truth, found.semantics, metric::occupancy_mask::none, counts.free + 1,
                                  (fs::path(o.prediction) / f).string());
    metric::add_rays(exec, counts, truth, found, pipeline::ray_origins(data, i), config);
    if (pictures.wanted()) { pictures.add(f.string(), metric::score_rays(added(counts, before), config).ray_iou, n); }
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
  const legend colours = pictures.wanted() ? colours_of(read(fs::path(o.ground_truth) / files[0])) : legend{};
  pictures.write(t, "RayIoU", "All voxels are shown; rays judge those they meet.", colours, [&](std::size_t n) {
    return truth_beside_prediction(exec, read(fs::path(o.ground_truth) / files[n]),
                                   read(fs::path(o.prediction) / files[n]), metric::occupancy_mask::none);
  });
  return t;
}

namespace {

/// The key frames with a forecast, and how many of those with three seconds to come have none.
struct forecasts {
  std::vector<idx> frames;
  idx missing = 0;
};
forecasts forecast_frames(const nuscenes_dataset& data, const options& o,
                          const std::function<fs::path(idx)>& folder_of) {
  forecasts out;
  fs::path first;
  for (idx i = 0; i < data.size(); ++i) {
    const fs::path folder = folder_of(i);
    const bool there = fs::exists(folder), judged = later(data, i, 3) >= 0;
    if (there && !judged) {
      raise<file_error>("sqs::evaluate: ", folder.string(), " foresees 3 s, but its scene ends before; ",
                        "predict only where three seconds follow");
    }
    if (there) { out.frames.push_back(i); }
    if (!there && judged && out.missing++ == 0) { first = folder; }
  }
  if (out.frames.empty()) {
    raise<file_error>("sqs::evaluate: there is no forecast in ", o.prediction,
                      "; a forecast is SCENE/TOKEN/labels_0s.npz to labels_3s.npz for key frames of ", o.nuscenes);
  }
  if (out.missing > 0 && !o.partial) {
    raise<file_error>("sqs::evaluate: ", out.missing, " of ", out.missing + static_cast<idx>(out.frames.size()),
                      " key frames with three seconds to come have no forecast, the first is ", first.string(),
                      "; give them, or --partial to judge those there are");
  }
  return out;
}

} // namespace

/// SCENE/TOKEN/labels_{0,1,2,3}s.npz: what was foreseen at key frame TOKEN, each in the vehicle's frame of its moment.
table forecast(const options& o) {
  const auto data = key_frames(o.nuscenes, o);
  const fs::path truth = o.ground_truth, prediction = o.prediction;
  const bool sparse_world = o.protocol == "sparse-world";
  const auto protocol = sparse_world ? metric::forecast_sparse_world_protocol : metric::forecast_occ_world_protocol;
  std::array<metric::confusion_counts, 4> counts;
  counts.fill(metric::make_counts(protocol));
  gallery pictures(o);
  cpu exec{.threads = o.threads};
  const auto folder_of = [&](idx i) { return prediction / data.scene(i) / data.token(i); };
  const auto truth_at = [&](idx i) { return read_occ3d(occ3d_path(truth, data.scene(i), data.token(i))); };
  const auto file_of = [&](idx i, std::size_t second) { return folder_of(i) / fmt::format("labels_{}s.npz", second); };
  const auto found_at = [&](idx i, std::size_t second) { return read_occ3d(file_of(i, second)); };
  const auto foreseen = forecast_frames(data, o, folder_of);
  auto bar = progress(o, "forecasts", foreseen.frames.size());
  for (const idx i : foreseen.frames) {
    std::array<metric::confusion_counts, 4> frame;
    frame.fill(metric::make_counts(protocol));
    for (std::size_t second = 0; second < 4; ++second) {
      constexpr auto mask = metric::occupancy_mask::none;
      const auto there = truth_at(later(data, i, second));
      const auto found = found_at(i, second).semantics;
      metric::require_known_classes(there, found, mask, protocol.classes, file_of(i, second).string());
      metric::add_voxels(exec, frame[second], there, found, mask);
      counts[second].merge(frame[second]);
    }
    if (pictures.wanted()) {
      pictures.add(data.scene(i) + "/" + data.token(i), metric::score_forecast(frame, protocol).miou,
                   static_cast<std::size_t>(i));
    }
    bar.update(counts[0].samples, "");
  }
  const auto s = metric::score_forecast(counts, protocol);
  const auto row = [&](auto&& value, double mean) {
    return std::vector<double>{value(s.at[0]), value(s.at[1]), value(s.at[2]), value(s.at[3]), mean};
  };
  const std::string left = foreseen.missing == 0 ? "" : fmt::format(", {} without a forecast", foreseen.missing);
  const table t{fmt::format("forecast, {}, {} samples{}", o.protocol, counts[0].samples, left),
                {"0 s", "1 s", "2 s", "3 s", "mean 1-3 s"},
                {{"mIoU", row([](const auto& at) { return at.miou; }, s.miou)},
                 {"IoU", row([](const auto& at) { return at.geometric_iou; }, s.iou)}}};
  const legend colours = pictures.wanted() ? colours_of(truth_at(foreseen.frames[0])) : legend{};
  pictures.write(t, "mIoU 1-3 s", "All voxels are judged.", colours, [&](std::size_t n) {
    std::vector<shown> ahead;
    for (std::size_t second = 1; second < 4; ++second) {
      const auto i = static_cast<idx>(n);
      ahead.push_back({fmt::format("{}s", second), fmt::format("{} s ahead", second),
                       perspectives(exec, truth_at(later(data, i, second)), found_at(i, second))});
    }
    return ahead;
  });
  return t;
}

} // namespace evaluate
