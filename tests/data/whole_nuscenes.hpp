// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The tiny set with every table of the schema, for the check of data sets.

#include "tiny_nuscenes.hpp"

#include <sqs/data/check.hpp>

namespace sqs_test {

struct whole_nuscenes : tiny_nuscenes {
  whole_nuscenes() {
    tables["attribute"] = tables["visibility"] = tables["log"] = tables["map"] = "[]";
    auto& data = tables["sample_data"];
    const std::string unlinked = "\"is_key_frame\":", named = R"({"token":"d)"; // dVS: sensor V, sample S
    for (std::size_t at = 0; (at = data.find(unlinked, at)) != std::string::npos; at += 60) {
      const auto id = data.rfind(named, at) + named.size();
      const std::string v(1, data[id]);
      const bool first = data[id + 1] == '0';
      data.insert(at, first ? R"("prev":"","next":"d)" + v + R"(1",)" : R"("prev":"d)" + v + R"(0","next":"",)");
    }
    data.erase(data.find(R"(,{"token":"sweep")"));
    data += "]";
    spoil("scene", R"("first_sample_token")", R"("nbr_samples":2,"last_sample_token":"s1","first_sample_token")");
    spoil("instance", R"("category_token")",
          R"("nbr_annotations":2,"first_annotation_token":"a0","last_annotation_token":"a1","category_token")");
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
