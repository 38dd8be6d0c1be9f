// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tables of nuScenes for themselves: all there, all readable, every token leads somewhere.

#include <sqs/data/detail/check_report.hpp>
#include <sqs/data/nuscenes_token.hpp>
#include <sqs/tensor/json_stream.hpp>

namespace sqs::detail {

/// A field that holds a token of another table.
struct nuscenes_table_link {
  const char *table, *field, *target;
  bool may_be_empty = false;
};

/// Collects problems where the reader stops at the first.
class nuscenes_table_checker {
public:
  nuscenes_table_checker(std::filesystem::path folder, std::string repair, const check_options& options,
                         check_report& report)
      : folder_(std::move(folder)),
        repair_(std::move(repair)),
        options_(options),
        report_(report) {}

  void run() {
    std::size_t done = 0;
    for (const char* name : tables) { read(name, done++); }
    std::error_code ignored;
    if (std::filesystem::exists(folder_ / "lidarseg.json", ignored)) { read("lidarseg", done); }
    for (const auto& l : links) { follow(l); }
    count_samples();
  }

private:
  static constexpr const char* tables[] = {"category",          "attribute",         "visibility", "instance", "sensor",
                                           "calibrated_sensor", "ego_pose",          "log",        "scene",    "sample",
                                           "sample_data",       "sample_annotation", "map"};
  static constexpr nuscenes_table_link links[] = {{"instance", "category_token", "category"},
                                                  {"calibrated_sensor", "sensor_token", "sensor"},
                                                  {"scene", "log_token", "log"},
                                                  {"scene", "first_sample_token", "sample"},
                                                  {"scene", "last_sample_token", "sample"},
                                                  {"sample", "scene_token", "scene"},
                                                  {"sample", "prev", "sample", true},
                                                  {"sample", "next", "sample", true},
                                                  {"sample_data", "sample_token", "sample"},
                                                  {"sample_data", "ego_pose_token", "ego_pose"},
                                                  {"sample_data", "calibrated_sensor_token", "calibrated_sensor"},
                                                  {"sample_data", "prev", "sample_data", true},
                                                  {"sample_data", "next", "sample_data", true},
                                                  {"sample_annotation", "sample_token", "sample"},
                                                  {"sample_annotation", "instance_token", "instance"},
                                                  {"sample_annotation", "visibility_token", "visibility", true},
                                                  {"sample_annotation", "prev", "sample_annotation", true},
                                                  {"sample_annotation", "next", "sample_annotation", true},
                                                  {"lidarseg", "sample_data_token", "sample_data"}};

  struct column {
    const nuscenes_table_link* what;
    std::vector<nuscenes_token> tokens;
    std::vector<std::uint32_t> records;
  };

  std::filesystem::path path_of(const std::string& name) const { return folder_ / (name + ".json"); }

  /// Remembers its tokens and those it points to.
  void read(const std::string& name, std::size_t done) {
    const auto path = path_of(name);
    if (options_.progress) { options_.progress("tables", static_cast<idx>(done), std::size(tables)); }
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      report_.add(concat("the table ", path.string(), " is missing"), repair_);
      return;
    }
    auto& own = known_[name];
    std::vector<column> columns;
    for (const auto& l : links) {
      if (name == l.table) { columns.push_back({&l, {}, {}}); }
    }
    const auto problem = problem_of([&] {
      stream_records(path, options_.limit, [&](const json_record& r) {
        own.add(nuscenes_token_of(r.text("token")), r.row());
        if (name == "calibrated_sensor") { see_lens(r); }
        if (name == "scene" && r.has("nbr_samples")) { announced_ += r.integer("nbr_samples"); }
        for (auto& c : columns) {
          if (!r.has(c.what->field)) { continue; } // the reader says which it needs
          const auto text = r.text(c.what->field);
          if (text.empty() && c.what->may_be_empty) {
            ends_ += name == "sample" && std::string_view(c.what->field) == "next" ? 1 : 0;
            continue;
          }
          c.tokens.push_back(nuscenes_token_of(text));
          c.records.push_back(static_cast<std::uint32_t>(r.row()));
        }
      });
    });
    if (problem) {
      report_.add(*problem, repair_);
      known_.erase(name);
      return;
    }
    if (bad_lenses_ > 0 && name == "calibrated_sensor") {
      report_.add(concat(path.string(), ": ", bad_lenses_, " of ", own.size(), " sensors have a focal length that is ",
                         "not positive, first ", first_bad_lens_),
                  repair_);
    }
    report_.counts[name] += static_cast<idx>(own.size());
    if (const auto twice = own.seal(); twice >= 0) {
      report_.add(concat(path.string(), ", record ", twice, ": its token occurs twice in the table"), repair_);
    }
    for (auto& c : columns) { columns_.push_back(std::move(c)); }
  }

  /// Key frames that their scene does not reach: readers that follow `next` would lose them without a word.
  void count_samples() {
    const auto samples = known_.find("sample"), scenes = known_.find("scene");
    if (samples == known_.end() || scenes == known_.end()) { return; }
    const auto lost = [&](const std::string& what) {
      report_.add(concat(path_of("sample").string(), ": ", what), repair_);
    };
    if (ends_ != static_cast<idx>(scenes->second.size())) {
      lost(concat(ends_, " samples have no 'next', but there are ", scenes->second.size(),
                  " scenes, each with one end"));
    }
    if (announced_ > 0 && announced_ != static_cast<idx>(samples->second.size())) {
      lost(concat(samples->second.size(), " samples, but the scenes' 'nbr_samples' add up to ", announced_));
    }
  }

  void see_lens(const json_record& r) {
    if (!r.has("camera_intrinsic") || r.count("camera_intrinsic") == 0) { return; } // no camera
    const auto k = r.matrix<3, 3>("camera_intrinsic");
    if (k[0][0] > 0 && k[1][1] > 0) { return; }
    if (bad_lenses_++ == 0) { first_bad_lens_ = concat("in record ", r.row(), ": ", k[0][0], " and ", k[1][1]); }
  }

  /// Links of a table to itself that run in a circle: a reader that follows them would not end.
  void find_circles(const column& c, const nuscenes_token_index& rows) {
    std::vector<std::int32_t> to(rows.size(), -1);
    for (std::size_t i = 0; i < c.tokens.size(); ++i) { to[c.records[i]] = rows.find(c.tokens[i]); }
    std::vector<std::uint32_t> walk(rows.size(), 0); // which walk came by first, from 1
    std::size_t circles = 0, records = 0, first = 0;
    for (std::uint32_t start = 0; start < to.size(); ++start) {
      std::size_t at = start;
      while (walk[at] == 0) {
        walk[at] = start + 1;
        if (to[at] < 0) { break; }
        at = static_cast<std::size_t>(to[at]);
      }
      if (to[at] < 0 || walk[at] != start + 1) { continue; } // an end, or ground that was known
      if (circles++ == 0) { first = at; }
      std::size_t next = at;
      do {
        ++records;
        next = static_cast<std::size_t>(to[next]);
      } while (next != at);
    }
    if (circles > 0) {
      report_.add(concat(path_of(c.what->table).string(), ": the values of '", c.what->field, "' of ", records,
                         " records lead back to where they came from (", circles, circles == 1 ? " circle" : " circles",
                         "), first through record ", first),
                  repair_);
    }
  }

  void follow(const nuscenes_table_link& l) {
    const auto target = known_.find(l.target);
    if (target == known_.end()) { return; } // missing or unreadable: said already
    for (auto& c : columns_) {
      if (c.what != &l) { continue; }
      std::size_t lost = 0, first = 0;
      for (std::size_t i = 0; i < c.tokens.size(); ++i) {
        if (target->second.find(c.tokens[i]) >= 0) { continue; }
        if (lost++ == 0) { first = c.records[i]; }
      }
      if (lost > 0) {
        report_.add(concat(path_of(l.table).string(), ": ", lost, " of ", c.tokens.size(), " values of '", l.field,
                           "' are not in ", l.target, ".json (dangling tokens), first in record ", first),
                    repair_);
      }
      if (std::string_view(l.table) == l.target) { find_circles(c, target->second); }
      c = {};
    }
  }

  std::filesystem::path folder_;
  std::string repair_;
  const check_options& options_;
  check_report& report_;
  std::map<std::string, nuscenes_token_index> known_;
  std::vector<column> columns_;
  std::size_t bad_lenses_ = 0;
  idx ends_ = 0, announced_ = 0;
  std::string first_bad_lens_;
};

} // namespace sqs::detail
