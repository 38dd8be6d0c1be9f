// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The result of a run for people (one HTML page) and for programs (`report.json`).

#include <sqs/core/file.hpp>
#include <sqs/core/profile.hpp>
#include <sqs/metric/rendering.hpp>
#include <sqs/tensor/json.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace sqs::pipeline {

/// One line of the loss curves.
struct curve_point {
  std::int64_t step;
  double loss, rgb, depth;
};

/// One rendered view: labels and picture files relative to the page.
struct picture_row {
  std::string title;
  std::vector<std::pair<std::string, std::string>> pictures; ///< caption, file
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

inline std::string number(double v, const char* format = "%.6g") {
  if (!std::isfinite(v)) { return "null"; }
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}
inline std::string score_json(const metric::rendering_score& s) {
  return "{\"rgb\":{\"psnr_db\":" + number(s.psnr_db) + ",\"baseline_psnr_db\":" + number(s.baseline_psnr_db) +
         "},\"depth\":{\"l1_m\":" + number(s.depth_l1_m) + ",\"baseline_l1_m\":" + number(s.baseline_depth_l1_m) +
         "},\"samples\":" + std::to_string(s.samples) + "}";
}
inline std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  }
  return out;
}

/// One curve as an SVG with a logarithmic y axis.
inline std::string curve_svg(const std::string& title, const std::vector<curve_point>& curve,
                             double curve_point::*member) {
  double low = 1e300, high = -1e300;
  for (const auto& p : curve) {
    const double v = std::log10(std::max(1e-9, p.*member));
    low = std::min(low, v);
    high = std::max(high, v);
  }
  if (curve.size() < 2 || !(high > low)) { return "<p>" + title + ": too few points for a curve</p>"; }
  std::string points;
  const double last = static_cast<double>(curve.back().step), first = static_cast<double>(curve.front().step);
  for (const auto& p : curve) {
    const double x = 40 + 330 * (static_cast<double>(p.step) - first) / std::max(1.0, last - first);
    const double y = 150 - 130 * (std::log10(std::max(1e-9, p.*member)) - low) / (high - low);
    points += number(x, "%.1f") + "," + number(y, "%.1f") + " ";
  }
  return "<figure><svg viewBox=\"0 0 380 175\" width=\"380\"><polyline fill=\"none\" stroke=\"#2a6fb0\" "
         "stroke-width=\"1.5\" "
         "points=\"" +
         points + "\"/><text x=\"2\" y=\"24\" font-size=\"10\">" + number(std::pow(10, high), "%.3g") +
         "</text><text x=\"2\" y=\"152\" font-size=\"10\">" + number(std::pow(10, low), "%.3g") +
         "</text><text x=\"40\" y=\"168\" font-size=\"10\">step " + number(first, "%.0f") +
         "</text><text x=\"320\" y=\"168\" font-size=\"10\">" + number(last, "%.0f") + "</text></svg><figcaption>" +
         title + " (logarithmic)</figcaption></figure>";
}

inline std::string score_row(const std::string& name, const metric::rendering_score& s) {
  const auto cell = [](double v, const char* f) { return "<td>" + number(v, f) + "</td>"; };
  return "<tr><th>" + name + "</th>" + cell(s.psnr_db, "%.2f") + cell(s.baseline_psnr_db, "%.2f") +
         cell(s.depth_l1_m, "%.2f") + cell(s.baseline_depth_l1_m, "%.2f") + "<td>" + std::to_string(s.samples) +
         "</td></tr>";
}
inline std::string stage_rows(const run_report& r) {
  std::string out;
  double total = 0;
  for (const auto& s : r.stages) { total += s.seconds; }
  for (const auto& s : r.stages) {
    out += std::string("<tr><th>") + s.name + " " + s.direction + "</th><td>" +
           number(1e3 * s.seconds / static_cast<double>(std::max<std::int64_t>(1, r.profiled_steps)), "%.1f") +
           "</td><td>" + number(100 * s.seconds / std::max(1e-12, total), "%.0f") + " %</td><td>" +
           number(static_cast<double>(s.peak_bytes) / 1048576, "%.1f") + "</td></tr>";
  }
  return out;
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
  using detail::escaped;
  std::string out =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>" + escaped(r.title) +
      "</title><style>body{font:15px/1.5 sans-serif;max-width:1400px;margin:2em auto;padding:0 1em;color:#222}"
      "table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;"
      "text-align:right}th:first-child{text-align:left;font-weight:600}figure{display:inline-block;margin:.3em}"
      "figcaption{font-size:12px;color:#555}img{max-width:100%;image-rendering:auto;border-radius:3px}"
      ".row img{width:320px}h3{margin:.8em 0 .1em}</style><h1>" +
      escaped(r.title) + "</h1><p>" + escaped(r.data) + ", policy " + escaped(r.policy) + ", " +
      std::to_string(r.steps) + " steps on " + std::to_string(r.samples) + " samples, seed " + std::to_string(r.seed) +
      ", " + std::to_string(r.threads) + " threads, " + detail::number(r.seconds, "%.0f") + " s of training (" +
      detail::number(1e3 * r.step_seconds, "%.0f") + " ms a step). " + std::to_string(r.parameters) +
      " trained numbers, " + std::to_string(r.gaussians) + " Gaussians.</p>";
  out += "<h2>Scores</h2><table><tr><th></th><th>PSNR dB</th><th>of the best constant colour</th><th>depth error m</th>"
         "<th>of the best constant depth</th><th>samples</th></tr>" +
         detail::score_row("trained on", r.train);
  if (r.has_eval) { out += detail::score_row("not trained on", r.eval); }
  if (r.has_control) {
    out += detail::score_row("control trained on black images: trained on", r.control);
    if (r.has_eval) { out += detail::score_row("control: not trained on", r.control_eval); }
  }
  out +=
      "</table><p>The control is the same network trained with all input images black. What it scores, a model reaches "
      "without looking: only the difference speaks for the images.</p><h2>Views</h2>";
  for (const auto& row : r.rows) {
    out += "<h3>" + escaped(row.title) + "</h3><div class=\"row\">";
    for (const auto& [caption, file] : row.pictures) {
      out += "<figure><img src=\"" + escaped(file) + "\" alt=\"" + escaped(caption) + "\"><figcaption>" +
             escaped(caption) + "</figcaption></figure>";
    }
    out += "</div>";
  }
  out += "<h2>Loss</h2>" + detail::curve_svg("total", r.curve, &curve_point::loss) +
         detail::curve_svg("L1 colour", r.curve, &curve_point::rgb) +
         detail::curve_svg("L1 depth, metres", r.curve, &curve_point::depth);
  if (!r.bird_eye.empty()) {
    out +=
        "<h2>Gaussians from above</h2><figure><img src=\"" + escaped(r.bird_eye) +
        "\" alt=\"bird's-eye view\"><figcaption>100 m x 100 m, rings every 10 m, the vehicle in the middle, forward is "
        "up</figcaption></figure>";
  }
  out += "<h2>Time and memory per stage</h2><table><tr><th>stage</th><th>ms a step</th><th>share</th><th>peak "
         "MiB</th></tr>" +
         detail::stage_rows(r) +
         "</table><p>Peak of the whole run: " + detail::number(static_cast<double>(r.peak_bytes) / 1048576, "%.1f") +
         " MiB in tensors; " + detail::number(r.allocations_per_step, "%.3g") +
         " allocations a step after warm-up.</p><h2>Settings</h2><table>";
  for (const auto& [key, value] : r.settings) {
    out += "<tr><th>" + escaped(key) + "</th><td>" + escaped(value) + "</td></tr>";
  }
  return out + "</table></html>\n";
}

} // namespace sqs::pipeline
