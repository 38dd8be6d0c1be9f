// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Collects what the benchmarks measured and prints it as tables: times, ratios, and beside each figure what was asked.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace tables {

struct measurement {
  double ms = 0;
  std::map<std::string, double> counters;
};

/// The console's reporter that also remembers the fastest run: of the benchmark's own, if it says so, and of repetitions.
class recorder : public benchmark::ConsoleReporter {
public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const auto& run : runs) {
      if (run.iterations == 0 || run.run_type != Run::RT_Iteration) { continue; }
      measurement m{run.cpu_accumulated_time / static_cast<double>(run.iterations) * 1e3, {}};
      for (const auto& [name, counter] : run.counters) { m.counters[name] = counter.value; }
      if (const auto own = m.counters.find("fastest_ms"); own != m.counters.end()) { m.ms = own->second; }
      const auto name = run.run_name.function_name;
      const auto found = all_.find(name);
      if (found == all_.end() || m.ms < found->second.ms) { all_[name] = m; }
    }
    ConsoleReporter::ReportRuns(runs);
  }
  bool empty() const { return all_.empty(); }
  /// Milliseconds of `splat/<stage>/<pass>/W:<id>`; negative if it was not measured.
  double ms(const std::string& stage, const std::string& pass, int id) const {
    const auto found = all_.find(name_of(stage, pass, id));
    return found == all_.end() ? -1 : found->second.ms;
  }
  double counter(const std::string& name, const std::string& counter) const {
    const auto found = all_.find(name);
    if (found == all_.end()) { return -1; }
    const auto value = found->second.counters.find(counter);
    return value == found->second.counters.end() ? -1 : value->second;
  }
  double counter(const std::string& stage, const std::string& pass, int id, const std::string& name) const {
    return counter(name_of(stage, pass, id), name);
  }

private:
  static std::string name_of(const std::string& stage, const std::string& pass, int id) {
    return "splat/" + stage + "/" + pass + "/W:" + std::to_string(id);
  }
  std::map<std::string, measurement> all_;
};

/// A number with `digits` after the point, or a dash.
inline std::string shown(double value, int digits) {
  if (!(value >= 0)) { return "-"; }
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}
inline std::string line(const std::vector<std::string>& cells) {
  std::string text = "|";
  for (const auto& c : cells) { text += " " + c + " |"; }
  return text + "\n";
}

/// Times of the stages, ms, and what the work consists of.
inline std::string table_of_times(const recorder& r, int workloads) {
  std::string text = line({"", "K, M", "I, M", "u", "l", "project", "bin", "blend", "forward", "blend back",
                           "project back", "backward", "eta fwd", "eta bwd", "CPS fwd, G/s", "CPS bwd, G/s"});
  text += "|---|" + [] {
    std::string rest;
    for (int i = 0; i < 15; ++i) { rest += "---|"; }
    return rest;
  }() + "\n";
  for (int w = 0; w < workloads; ++w) {
    if (r.ms("blend", "forward", w) < 0 && r.ms("rasterize", "forward", w) < 0) { continue; }
    const auto at = [&](const char* stage, const char* pass) { return shown(r.ms(stage, pass, w), 2); };
    text += line({"W" + std::to_string(w), shown(r.counter("blend", "forward", w, "pairs") * 1e-6, 1),
                  shown(r.counter("blend", "forward", w, "intersections") * 1e-6, 3),
                  shown(r.counter("blend", "forward", w, "u"), 2), shown(r.counter("blend", "forward", w, "l"), 2),
                  at("project", "forward"), at("bin", "forward"), at("blend", "forward"), at("rasterize", "forward"),
                  at("blend", "backward"), at("project", "backward"), at("rasterize", "backward"),
                  shown(r.counter("blend", "forward", w, "eta"), 3), shown(r.counter("blend", "backward", w, "eta"), 3),
                  shown(r.counter("blend", "forward", w, "CPS") * 1e-9, 2),
                  shown(r.counter("blend", "backward", w, "CPS") * 1e-9, 2)});
  }
  return text;
}

/// How many times longer the baselines take; nothing if they were not measured.
inline std::string table_of_ratios(const recorder& r, int workloads) {
  std::string text;
  for (int w = 0; w < workloads; ++w) {
    if (r.counter("blend", "forward", w, "x_gaussian_major") < 0) { continue; }
    std::vector<std::string> cells{"W" + std::to_string(w)};
    for (const char* baseline : {"x_gaussian_major", "x_scalar_tile"}) {
      for (const char* stage : {"blend", "rasterize"}) {
        for (const char* pass : {"forward", "backward"}) {
          cells.push_back(shown(r.counter(stage, pass, w, baseline), 1));
        }
      }
    }
    text += line(cells);
  }
  const std::string head = line({"", "Gaussian-major: blend fwd", "bwd", "all fwd", "bwd", "scalar tile: blend fwd",
                                 "bwd", "all fwd", "bwd"}) +
                           "|---|---|---|---|---|---|---|---|---|\n";
  return text.empty() ? text : "\nTime of a baseline over time of the engine.\n\n" + head + text;
}

/// What was asked of the engine, and what it does.
inline std::string table_of_targets(const recorder& r, int workloads) {
  std::string text = line({"asked", "at least / at most", "measured", ""}) + "|---|---|---|---|\n";
  const auto row = [&](const std::string& what, bool at_least, double asked, double measured, int digits) {
    if (measured < 0) { return; }
    const bool met = at_least ? measured >= asked : measured <= asked;
    text += line(
        {what, (at_least ? ">= " : "<= ") + shown(asked, digits), shown(measured, digits), met ? "met" : "MISSED"});
  };
  struct eta {
    int id;
    double forward, backward;
  };
  for (const auto& e : {eta{1, 0.12, 0.18}, {2, 0.19, 0.26}, {7, 0.19, 0.26}, {6, 0.29, 0.38}}) {
    const std::string w = " W" + std::to_string(e.id);
    row("eta forward" + w, true, e.forward, r.counter("blend", "forward", e.id, "eta"), 3);
    row("eta backward" + w, true, e.backward, r.counter("blend", "backward", e.id, "eta"), 3);
  }
  for (int id = 0; id < workloads; ++id) {
    const std::string w = " W" + std::to_string(id);
    row("Gaussian-major forward" + w, true, 28, r.counter("blend", "forward", id, "x_gaussian_major"), 1);
    row("Gaussian-major backward" + w, true, id == 1 ? 10 : 15, r.counter("blend", "backward", id, "x_gaussian_major"),
        1);
  }
  for (int id = 0; id < workloads; ++id) {
    const std::string w = " W" + std::to_string(id);
    row("binning, ns per intersection" + w, false, 8, r.counter("bin", "forward", id, "ns_per_intersection"), 2);
    row("projection, share of the FMA peak" + w, true, 0.2, r.counter("project", "forward", id, "peak_share"), 3);
  }
  for (const char* pass : {"forward", "backward"}) {
    const std::string name = std::string("splat/rasterize/") + pass + "/W:7";
    row(std::string("24 channels over 3, W7 ") + pass, false, 2.5, r.counter(name + "/C:24", "x_rgb"), 2);
    row(std::string("two threads, W7 ") + pass, true, 1.8, r.counter(name + "/threads:2", "scaling"), 2);
  }
  const std::string frame = "splat/rasterize/frame/W:7/threads:2";
  row("two threads, W7, both", true, 1.8, r.counter(frame, "scaling"), 2);
  if (r.counter(frame, "free_cores") >= 0) {
    text += line({"cores that were free", "2", shown(r.counter(frame, "free_cores"), 2), ""});
  }
  return text;
}

inline std::string all_tables(const recorder& r, int workloads) {
  return "Milliseconds on one thread; what the counters mean stands in benchmarks/splat/rasterize_bench.cpp.\n\n" +
         table_of_times(r, workloads) + table_of_ratios(r, workloads) + "\n" + table_of_targets(r, workloads);
}

} // namespace tables
