// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The result of a run for people (one HTML page) and for programs (`report.json`).

#include <sqs/core/file.hpp>
#include <sqs/core/profile.hpp>
#include <sqs/metric/rendering.hpp>
#include <sqs/pipeline/page.hpp>
#include <sqs/tensor/json.hpp>

namespace sqs::pipeline {

/// One line of the loss curves.
struct curve_point {
  std::int64_t step;
  double loss, rgb, depth;
};

/// One rendered view: labels and picture files relative to the page.
struct picture_row {
  std::string title;
  std::vector<figure> pictures;
};

/// Everything the page shows.
struct run_report {
  std::string title, data, policy;
  std::uint64_t seed = 0;
  int threads = 0;
  std::int64_t steps = 0, samples = 0, eval_samples = 0;
  double seconds = 0, step_seconds = 0;
  std::vector<curve_point> curve;
  metric::rendering_score train, eval, control, control_eval;
  bool has_eval = false, has_control = false;
  std::vector<stage_total> stages;
  std::int64_t profiled_steps = 0;
  std::size_t peak_bytes = 0;
  double allocations_per_step = 0;
  idx parameters = 0, gaussians = 0;
  std::vector<picture_row> rows;
  std::string bird_eye; ///< picture file
  std::vector<std::pair<std::string, std::string>> settings;
};

namespace detail {

inline std::string score_json(const metric::rendering_score& s) {
  return "{\"rgb\":{\"psnr_db\":" + number(s.psnr_db) + ",\"baseline_psnr_db\":" + number(s.baseline_psnr_db) +
         "},\"depth\":{\"l1_m\":" + number(s.depth_l1_m) + ",\"baseline_l1_m\":" + number(s.baseline_depth_l1_m) +
         "},\"samples\":" + std::to_string(s.samples) + "}";
}
inline std::vector<std::string> score_row(const std::string& name, const metric::rendering_score& s) {
  return {name,
          number(s.psnr_db, "%.2f"),
          number(s.baseline_psnr_db, "%.2f"),
          number(s.depth_l1_m, "%.2f"),
          number(s.baseline_depth_l1_m, "%.2f"),
          std::to_string(s.samples)};
}
inline std::vector<std::vector<std::string>> stage_rows(const run_report& r) {
  double total = 0;
  for (const auto& s : r.stages) { total += s.seconds; }
  std::vector<std::vector<std::string>> rows;
  for (const auto& s : r.stages) {
    rows.push_back({std::string(s.name) + " " + s.direction,
                    number(1e3 * s.seconds / static_cast<double>(std::max<std::int64_t>(1, r.profiled_steps)), "%.1f"),
                    number(100 * s.seconds / std::max(1e-12, total), "%.0f") + " %",
                    number(static_cast<double>(s.peak_bytes) / 1048576, "%.1f")});
  }
  return rows;
}
inline void add_curve(page& p, const std::string& title, const std::vector<curve_point>& curve,
                      double curve_point::*member) {
  std::vector<std::pair<double, double>> points;
  for (const auto& c : curve) { points.emplace_back(static_cast<double>(c.step), c.*member); }
  p.curve(title, points);
}

} // namespace detail

/// `report.json`: dotted paths such as `loss.last`, `rgb.psnr_db`, `eval.depth.l1_m`, `memory.peak_bytes`.
inline std::string report_json(const run_report& r) {
  using detail::number;
  std::string stages;
  for (const auto& s : r.stages) {
    stages += std::string(stages.empty() ? "" : ",") + "{\"name\":\"" + s.name + "/" + s.direction +
              "\",\"seconds_per_step\":" +
              number(s.seconds / static_cast<double>(std::max<std::int64_t>(1, r.profiled_steps))) +
              ",\"peak_bytes\":" + std::to_string(s.peak_bytes) + "}";
  }
  std::string settings;
  for (const auto& [key, value] : r.settings) {
    settings += (settings.empty() ? "" : ",") + json_quoted(key) + ":" + json_quoted(value);
  }
  const std::string train = detail::score_json(r.train);
  std::string out = "{\"loss\":{\"first\":" + number(r.curve.empty() ? NAN : r.curve.front().loss) +
                    ",\"last\":" + number(r.curve.empty() ? NAN : r.curve.back().loss) + "},\n" +
                    train.substr(1, train.size() - 2) + ",\n";
  if (r.has_eval) { out += "\"eval\":" + detail::score_json(r.eval) + ",\n"; }
  if (r.has_control) {
    std::string control = detail::score_json(r.control);
    control.pop_back();
    out += "\"control\":" + control + (r.has_eval ? ",\"eval\":" + detail::score_json(r.control_eval) : "") + "},\n";
  }
  return out + "\"stages\":[" + stages + "],\n\"memory\":{\"peak_bytes\":" + std::to_string(r.peak_bytes) +
         ",\"allocations_per_step\":" + number(r.allocations_per_step) +
         "},\n\"data\":{\"name\":" + json_quoted(r.data) + ",\"samples\":" + std::to_string(r.samples) +
         ",\"eval_samples\":" + std::to_string(r.eval_samples) + "},\n\"policy\":" + json_quoted(r.policy) +
         ",\"seed\":" + std::to_string(r.seed) + ",\"threads\":" + std::to_string(r.threads) +
         ",\"steps\":" + std::to_string(r.steps) + ",\"seconds\":" + number(r.seconds) +
         ",\"seconds_per_step\":" + number(r.step_seconds) + ",\"parameters\":" + std::to_string(r.parameters) +
         ",\"gaussians\":" + std::to_string(r.gaussians) + ",\n\"settings\":{" + settings + "}}\n";
}

/// The page: scores, pictures per camera, loss curves, the scene from above, time and memory per stage.
inline std::string report_html(const run_report& r) {
  using detail::number;
  page p(r.title);
  p.text(r.data + ", policy " + r.policy + ", " + std::to_string(r.steps) + " steps on " + std::to_string(r.samples) +
         " samples, seed " + std::to_string(r.seed) + ", " + std::to_string(r.threads) + " threads, " +
         number(r.seconds, "%.0f") + " s of training (" + number(1e3 * r.step_seconds, "%.0f") + " ms a step). " +
         std::to_string(r.parameters) + " trained numbers, " + std::to_string(r.gaussians) + " Gaussians.");
  std::vector<std::vector<std::string>> scores{detail::score_row("trained on", r.train)};
  if (r.has_eval) { scores.push_back(detail::score_row("not trained on", r.eval)); }
  if (r.has_control) {
    scores.push_back(detail::score_row("control trained on black images: trained on", r.control));
    if (r.has_eval) { scores.push_back(detail::score_row("control: not trained on", r.control_eval)); }
  }
  p.heading("Scores").table(
      {"", "PSNR dB", "of the best constant colour", "depth error m", "of the best constant depth", "samples"}, scores);
  p.text("The control is the same network trained with all input images black. What it scores, a model reaches without "
         "looking: only the difference speaks for the images.");
  p.heading("Views");
  for (const auto& row : r.rows) { p.subheading(row.title).figures(row.pictures); }
  p.heading("Loss");
  detail::add_curve(p, "total", r.curve, &curve_point::loss);
  detail::add_curve(p, "L1 colour", r.curve, &curve_point::rgb);
  detail::add_curve(p, "L1 depth, metres", r.curve, &curve_point::depth);
  if (!r.bird_eye.empty()) {
    p.heading("Gaussians from above")
        .figures({{"100 m x 100 m, rings every 10 m, the vehicle in the middle, forward is up", r.bird_eye}}, false);
  }
  p.heading("Time and memory per stage").table({"stage", "ms a step", "share", "peak MiB"}, detail::stage_rows(r));
  p.text("Peak of the whole run: " + number(static_cast<double>(r.peak_bytes) / 1048576, "%.1f") + " MiB in tensors; " +
         number(r.allocations_per_step, "%.3g") + " allocations a step after warm-up.");
  std::vector<std::vector<std::string>> settings;
  for (const auto& [key, value] : r.settings) { settings.push_back({key, value}); }
  return p.heading("Settings").table({}, settings).html();
}

} // namespace sqs::pipeline
