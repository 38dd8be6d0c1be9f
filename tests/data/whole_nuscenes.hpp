// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tiny set with every table of the schema, for the check of data sets.

#include "tiny_nuscenes.hpp"

#include <sqs/data/check.hpp>

namespace sqs_test {

struct whole_nuscenes : tiny_nuscenes {
  explicit whole_nuscenes(const std::string& name) : tiny_nuscenes(name) {
    tables["attribute"] = tables["visibility"] = tables["log"] = tables["map"] = "[]";
    auto& data = tables["sample_data"];
    const std::string unlinked = "\"is_key_frame\":";
    for (std::size_t at = 0; (at = data.find(unlinked, at)) != std::string::npos; at += 40) {
      data.insert(at, R"("prev":"","next":"",)");
    }
    data.erase(data.find(R"(,{"token":"sweep")"));
    data += "]";
  }
  sqs::check_report check(const sqs::check_options& o = {}) const {
    fs::create_directories(root / "v1.0-mini");
    for (const auto& [name, text] : tables) { std::ofstream(root / "v1.0-mini" / (name + ".json")) << text; }
    return sqs::check_dataset(root, o);
  }
};

inline std::string all_of(const sqs::check_report& r) {
  std::string s;
  for (const auto& p : r.problems) { s += p.what + "\n    " + p.repair + "\n"; }
  return s;
}

} // namespace sqs_test
