// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tables of nuScenes for themselves: all there, all readable, every token leads somewhere, no name twice, lists
/// whole.

#include <sqs/data/detail/check_chains.hpp>
#include <sqs/data/detail/check_repairs.hpp>
#include <sqs/data/nuscenes_token.hpp>
#include <sqs/tensor/json_stream.hpp>

#include <unordered_set>

namespace sqs::detail {

/// A field that holds a token of another table.
struct nuscenes_table_link {
  const char *table, *field, *target;
  bool may_be_empty = false;
};
/// A field of a table: one whose text occurs once, or one that counts.
struct nuscenes_table_field {
  const char *table, *field;
};

/// Collects problems where the reader stops at the first.
class nuscenes_table_checker {
public:
  nuscenes_table_checker(std::filesystem::path folder, const nuscenes_repairs& again, const check_options& options,
                         check_report& report)
      : folder_(std::move(folder)),
        again_(again),
        options_(options),
        report_(report) {}

  void run() {
    std::size_t done = 0;
    for (const char* name : tables) { read(name, done++); }
    std::error_code ignored;
    if (std::filesystem::exists(folder_ / "lidarseg.json", ignored)) { read("lidarseg", done); }
    for (const auto& l : links) { follow(l); }
    follow_lists();
    check_samples();
    check_boxes();
    check_recordings();
  }

private:
  static constexpr const char* tables[] = {"category",          "attribute",         "visibility", "instance", "sensor",
                                           "calibrated_sensor", "ego_pose",          "log",        "scene",    "sample",
                                           "sample_data",       "sample_annotation", "map"};
  static constexpr nuscenes_table_link links[] = {{"instance", "category_token", "category"},
                                                  {"instance", "first_annotation_token", "sample_annotation"},
                                                  {"instance", "last_annotation_token", "sample_annotation"},
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
  static constexpr nuscenes_table_field names[] = {
      {"category", "name"}, {"attribute", "name"}, {"visibility", "level"}, {"sensor", "channel"}, {"scene", "name"}};
  static constexpr nuscenes_table_field numbers[] = {{"scene", "nbr_samples"}, {"instance", "nbr_annotations"}};

  struct column {
    const nuscenes_table_link* what;
    std::vector<nuscenes_token> tokens = {}; ///< by record, the empty one where the field is empty or absent
    record_finding absent = {};
    std::vector<std::int32_t> rows = {}; ///< by record, once followed: -1 if empty, -2 if absent or leading nowhere
  };
  /// Texts that may occur once in their table.
  struct unique_names {
    const char* field = nullptr;
    std::unordered_set<std::string> seen = {};
    record_finding twice = {};
    std::string first = {};
    void see(const json_record& r) {
      if (field == nullptr || !r.has(field)) { return; }
      const auto text = r.text(field);
      if (seen.emplace(text).second) { return; }
      twice.add(r.row());
      if (twice.records == 1) { first = text.substr(0, 80); }
    }
  };

  std::filesystem::path path_of(const std::string& name) const { return folder_ / (name + ".json"); }
  /// The command that brings a table back.
  std::string repair(const std::string& name) const {
    return name == "lidarseg" ? again_.lidarseg(folder_.filename() / "lidarseg.json") : again_.tables();
  }
  template <class... Words> void add(const std::string& table, const Words&... words) {
    report_.add(concat(path_of(table).string(), words...), repair(table));
  }

  /// Remembers its tokens and those it points to.
  void read(const std::string& name, std::size_t done) {
    const auto path = path_of(name);
    if (options_.progress) { options_.progress("tables", static_cast<idx>(done), std::size(tables)); }
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      report_.add(concat("the table ", path.string(), " is missing"), repair(name));
      return;
    }
    auto& own = known_[name];
    std::vector<column> columns;
    for (const auto& l : links) {
      if (name == l.table) { columns.push_back({&l}); }
    }
    unique_names unique;
    for (const auto& n : names) {
      if (name == n.table) { unique.field = n.field; }
    }
    std::vector<std::int64_t> counts;
    const char* count = nullptr;
    for (const auto& n : numbers) {
      if (name == n.table) { count = n.field; }
    }
    std::vector<std::int64_t> times;
    const bool timed = name == "sample" || name == "sample_data";
    const auto problem = problem_of([&] {
      stream_records(path, options_.limit, [&](const json_record& r) {
        own.add(nuscenes_token_of(r.text("token")), r.row());
        if (name == "calibrated_sensor") { see_lens(r); }
        unique.see(r);
        if (count != nullptr) { counts.push_back(r.has(count) ? r.integer(count) : -1); }
        if (timed && r.has("timestamp")) { times.push_back(r.integer("timestamp")); }
        for (auto& c : columns) { see_link(c, r); }
        if (name == "sample_annotation") { see_attributes(r); }
        if (name == "map") { see_logs(r); }
      });
    });
    if (problem) {
      report_.add(*problem, repair(name));
      known_.erase(name);
      return;
    }
    report_.counts[name] += static_cast<idx>(own.size());
    say_of(name, unique);
    if (const auto twice = own.seal(); twice >= 0) {
      add(name, ", record ", twice, ": its token occurs twice in the table");
    }
    for (auto& c : columns) {
      if (c.absent.records == own.size()) { continue; } // the reader says which it needs
      if (c.absent.records > 0) {
        add(name, ": ", c.absent.records, " of ", own.size(), " records have no '", c.what->field, "', first record ",
            c.absent.first);
      }
      columns_.push_back(std::move(c));
    }
    counts_[name] = std::move(counts);
    if (times.size() == own.size()) { times_[name] = std::move(times); } // the reader needs them all
  }
  static void see_link(column& c, const json_record& r) {
    const bool there = r.has(c.what->field);
    if (!there) { c.absent.add(r.row()); }
    c.tokens.push_back(there ? nuscenes_token_of(r.text(c.what->field)) : nuscenes_token{});
    c.rows.push_back(there ? -1 : -2);
  }
  /// The two fields that hold lists of tokens.
  void see_attributes(const json_record& r) {
    if (!r.has("attribute_tokens")) { return; }
    r.texts("attribute_tokens", [&](std::string_view t) {
      const auto [at, is_new] = attributes_.try_emplace(nuscenes_token_of(t));
      at->second.add(r.row());
    });
  }
  void see_logs(const json_record& r) {
    if (!r.has("log_tokens")) { return; }
    r.texts("log_tokens", [&](std::string_view t) { mapped_logs_.push_back(nuscenes_token_of(t)); });
  }
  /// Attributes of boxes that nobody knows, and logs without a map, over which the devkit stumbles. Maps of a smaller
  /// version name logs of the larger one.
  void follow_lists() {
    if (const auto known = known_.find("attribute"); known != known_.end()) {
      record_finding lost;
      for (const auto& [token, found] : attributes_) {
        if (known->second.find(token) >= 0) { continue; }
        if (lost.records == 0 || found.first < lost.first) { lost.first = found.first; }
        lost.records += found.records;
      }
      if (lost.records > 0) {
        add("sample_annotation", ": ", lost.records,
            " values in 'attribute_tokens' are not in attribute.json (dangling tokens), first in record ", lost.first);
      }
    }
    const auto logs = known_.find("log");
    if (logs == known_.end() || !known_.contains("map") || !(again_.is_published() || again_.is_town())) { return; }
    std::sort(mapped_logs_.begin(), mapped_logs_.end());
    record_finding lost;
    logs->second.each([&](nuscenes_token t, std::int32_t row) {
      if (std::binary_search(mapped_logs_.begin(), mapped_logs_.end(), t)) { return; }
      const auto r = static_cast<std::size_t>(row);
      lost.first = lost.records == 0 ? r : std::min(lost.first, r);
      ++lost.records;
    });
    if (lost.records > 0) {
      add("map", ": no map names ", lost.records, " of ", logs->second.size(),
          " logs in its 'log_tokens', first record ", lost.first, " of log.json");
    }
  }

  void see_lens(const json_record& r) {
    if (!r.has("camera_intrinsic") || r.count("camera_intrinsic") == 0) { return; } // no camera
    const auto k = r.matrix<3, 3>("camera_intrinsic");
    if (k[0][0] > 0 && k[1][1] > 0) { return; }
    bad_lenses_.add(r.row());
    if (bad_lenses_.records == 1) { first_bad_lens_ = concat("in record ", r.row(), ": ", k[0][0], " and ", k[1][1]); }
  }
  void say_of(const std::string& name, const unique_names& unique) {
    if (bad_lenses_.records > 0 && name == "calibrated_sensor") {
      add(name, ": ", bad_lenses_.records, " of ", known_.at(name).size(),
          " sensors have a focal length that is not positive, first ", first_bad_lens_);
    }
    if (unique.twice.records > 0) {
      add(name, ": ", unique.twice.records, " records have a '", unique.field,
          "' that an earlier one has, first in record ", unique.twice.first, ": '", unique.first, "'");
    }
  }

  void follow(const nuscenes_table_link& l) {
    const auto target = known_.find(l.target);
    const auto at = std::find_if(columns_.begin(), columns_.end(), [&](const column& c) { return c.what == &l; });
    if (at == columns_.end()) { return; }
    if (target == known_.end()) { // missing or unreadable: said already
      at->rows.assign(at->rows.size(), -2);
      return;
    }
    record_finding lost;
    std::size_t given = 0;
    for (std::size_t i = 0; i < at->tokens.size(); ++i) {
      if (at->rows[i] == -2 || (!at->tokens[i] && l.may_be_empty)) { continue; }
      ++given;
      at->rows[i] = target->second.find(at->tokens[i]);
      if (at->rows[i] >= 0) { continue; }
      at->rows[i] = -2;
      lost.add(i);
    }
    at->tokens = std::vector<nuscenes_token>(); // memory, too
    if (lost.records > 0) {
      add(l.table, ": ", lost.records, " of ", given, " values of '", l.field, "' are not in ", l.target,
          ".json (dangling tokens), first in record ", lost.first);
    }
  }

  /// The rows a field leads to, by record; none if the table does not have it.
  std::vector<std::int32_t> rows(std::string_view table, std::string_view field) const {
    for (const auto& c : columns_) {
      if (c.what->table == table && c.what->field == field) { return c.rows; }
    }
    return {};
  }
  /// What was kept of a table; nothing if it was not.
  using numbers_of_tables = std::map<std::string, std::vector<std::int64_t>>;
  static std::vector<std::int64_t> of(const numbers_of_tables& kept, const char* table) {
    const auto found = kept.find(table);
    return found == kept.end() ? std::vector<std::int64_t>{} : found->second;
  }
  /// Whether the lists of a table and the table that owns them are as they should.
  void check(const record_chains& c, const char* table) { check_chains(c, report_, repair(table)); }
  void check(const record_chains& c, const char* table, const chain_owner& owner) {
    const bool whole = check_chains(c, report_, repair(table));
    check_owner(c, whole, owner, report_, repair(table));
  }

  void check_samples() {
    check({.of = "scene",
           .path = path_of("sample").string(),
           .prev = rows("sample", "prev"),
           .next = rows("sample", "next"),
           .group = rows("sample", "scene_token"),
           .time = of(times_, "sample")},
          "sample",
          {.path = path_of("scene").string(),
           .first_field = "first_sample_token",
           .last_field = "last_sample_token",
           .count_field = "nbr_samples",
           .first = rows("scene", "first_sample_token"),
           .last = rows("scene", "last_sample_token"),
           .count = of(counts_, "scene")});
  }
  void check_boxes() {
    check({.of = "instance",
           .path = path_of("sample_annotation").string(),
           .prev = rows("sample_annotation", "prev"),
           .next = rows("sample_annotation", "next"),
           .group = rows("sample_annotation", "instance_token")},
          "sample_annotation",
          {.path = path_of("instance").string(),
           .first_field = "first_annotation_token",
           .last_field = "last_annotation_token",
           .count_field = "nbr_annotations",
           .first = rows("instance", "first_annotation_token"),
           .last = rows("instance", "last_annotation_token"),
           .count = of(counts_, "instance")});
  }
  /// The files of one sensor in one scene are a list.
  void check_recordings() {
    record_chains c{.of = "sensor or scene",
                    .path = path_of("sample_data").string(),
                    .prev = rows("sample_data", "prev"),
                    .next = rows("sample_data", "next"),
                    .group = rows("sample_data", "sample_token"),
                    .time = of(times_, "sample_data")};
    const auto scene = rows("sample", "scene_token"), mounted = rows("sample_data", "calibrated_sensor_token"),
               sensor = rows("calibrated_sensor", "sensor_token");
    const auto via = [](const std::vector<std::int32_t>& to, std::int32_t row) {
      return row < 0 || static_cast<std::size_t>(row) >= to.size() ? -1 : to[static_cast<std::size_t>(row)];
    };
    std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> number;
    for (std::size_t i = 0; i < c.group.size(); ++i) {
      const std::pair key(via(scene, c.group[i]), i < mounted.size() ? via(sensor, mounted[i]) : -1);
      const bool known = key.first >= 0 && key.second >= 0;
      c.group[i] = known ? number.try_emplace(key, static_cast<std::int32_t>(number.size())).first->second : -1;
    }
    check(c, "sample_data");
  }

  std::filesystem::path folder_;
  const nuscenes_repairs& again_;
  const check_options& options_;
  check_report& report_;
  std::map<std::string, nuscenes_token_index> known_;
  numbers_of_tables counts_, times_;
  std::vector<column> columns_;
  std::map<nuscenes_token, record_finding> attributes_; ///< that boxes name
  std::vector<nuscenes_token> mapped_logs_;             ///< that maps name
  record_finding bad_lenses_;
  std::string first_bad_lens_;
};

} // namespace sqs::detail
