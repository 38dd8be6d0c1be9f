// SPDX-License-Identifier: Apache-2.0
#include "evaluate.hpp"

#include <sqs/metric/detection_json.hpp>
#include <sqs/pipeline/ground_truth.hpp>

namespace evaluate {

table detection(const options& o) {
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
  return t;
}

} // namespace evaluate
