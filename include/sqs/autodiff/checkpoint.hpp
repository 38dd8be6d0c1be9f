// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Models to files and back, by dotted name and shape, with a report of what did not match.

#include <sqs/autodiff/parameter.hpp>
#include <sqs/tensor/safetensors.hpp>

namespace sqs {

/// What loading found. Names of the model, except `unexpected`, which are names of the file.
struct load_report {
  idx loaded = 0;
  std::vector<std::string> missing;     ///< in the model, not in the file
  std::vector<std::string> unexpected;  ///< in the file, not in the model
  std::vector<std::string> wrong_shape; ///< in both, with other shapes or types; with both shapes

  bool complete() const { return missing.empty() && unexpected.empty() && wrong_shape.empty(); }
  /// The four counts, the first names of each kind, and for a missing one the nearest name of the file.
  std::string text() const {
    std::string out = concat(loaded, " tensors loaded, ", missing.size(), " missing, ", unexpected.size(),
                             " unexpected, ", wrong_shape.size(), " of another shape");
    const auto list = [&](const char* kind, const std::vector<std::string>& names) {
      for (std::size_t i = 0; i < names.size() && i < 5; ++i) { out += concat("\n  ", kind, ": ", names[i]); }
      if (names.size() > 5) { out += concat("\n  ... and ", names.size() - 5, " more ", kind); }
    };
    list("missing", missing);
    list("unexpected", unexpected);
    list("wrong shape", wrong_shape);
    return out;
  }
};

namespace detail {
/// Edit distance, for "did you mean".
inline std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) { row[j] = j; }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}
inline std::string with_nearest(const std::string& name, const std::vector<std::string>& candidates) {
  const auto best = std::min_element(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
  return best == candidates.end() ? name : name + " (nearest in the file: " + *best + ")";
}
} // namespace detail

/// Puts every parameter and state of `model` into `file` as `prefix` + dotted name.
template <reflected Model>
void store_model(safetensors_file& file, const Model& model, const std::string& prefix = "") {
  for_each_tensor(model,
                  [&](const std::string& name, const auto& p) { file.tensors[prefix + name] = from_tensor(p.value); });
}

/// Copies tensors of `file` named `prefix` + dotted name into the model's own memory (handles stay valid).
///
/// A tensor whose name, shape or element type does not match is left as it is and reported; names of the file that do
/// not begin with `prefix` are ignored.
template <reflected Model>
load_report load_model(Model& model, const safetensors_file& file, const std::string& prefix = "") {
  load_report report;
  std::map<std::string, bool> used;
  std::vector<std::string> lost;
  for_each_tensor(model, [&](const std::string& name, auto& p) {
    const auto found = file.tensors.find(prefix + name);
    if (found == file.tensors.end()) {
      lost.push_back(name);
      return;
    }
    used[found->first] = true;
    const auto fresh = from_tensor(p.value);
    const auto& stored = found->second;
    if (stored.shape != fresh.shape || stored.dtype != fresh.dtype) {
      report.wrong_shape.push_back(concat(name, " is ", fresh.dtype, " ", detail::shape_text(fresh.shape),
                                          " in the model and ", stored.dtype, " ", detail::shape_text(stored.shape),
                                          " in the file"));
      return;
    }
    std::copy_n(stored.data.data(), stored.data.size(), reinterpret_cast<std::byte*>(p.value.data()));
    ++report.loaded;
  });
  for (const auto& [name, t] : file.tensors) {
    if (name.starts_with(prefix) && !used.contains(name)) { report.unexpected.push_back(name.substr(prefix.size())); }
  }
  for (const auto& name : lost) { report.missing.push_back(detail::with_nearest(name, report.unexpected)); }
  return report;
}

/// Raises unless everything matched.
///
/// Errors      file_error with the report's text.
inline void expect_complete(const load_report& report, const std::string& path) {
  if (!report.complete()) {
    raise<file_error>("sqs::checkpoint: ", path, " does not belong to this model: ", report.text(),
                      "; use the policy it was saved with");
  }
}

} // namespace sqs
