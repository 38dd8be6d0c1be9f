// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// `metrics.jsonl`: one JSON object per training step, flushed per step, cut back to the checkpoint on resume.

#include <sqs/core/file.hpp>
#include <sqs/pipeline/pretrain.hpp>
#include <sqs/pipeline/report.hpp>
#include <sqs/tensor/json.hpp>

#include <fstream>

namespace sqs::pipeline {

/// The log of one run.
///
/// Errors      file_error if the file cannot be written.
class metrics_log {
public:
  /// Keeps the lines of steps before `first_step`; a line cut short by a kill is dropped.
  metrics_log(std::filesystem::path path, std::int64_t first_step) : path_(std::move(path)) {
    std::string kept;
    if (first_step > 0 && std::filesystem::exists(path_)) {
      std::ifstream in(path_);
      for (std::string line; std::getline(in, line);) {
        if (line.empty() || line.back() != '}') { break; }
        if (!keep(line, first_step)) { break; }
        kept += line + '\n';
      }
    }
    write_file_atomic(path_, bytes_of(kept));
    out_.open(path_, std::ios::app);
    check();
  }
  void add(const step_report& r) {
    using detail::number;
    out_ << "{\"step\":" << r.step << ",\"loss\":" << number(r.loss, "%.9g") << ",\"rgb\":" << number(r.rgb, "%.9g")
         << ",\"depth\":" << number(r.depth, "%.9g") << ",\"gradient_norm\":" << number(r.gradient_norm, "%.9g")
         << ",\"rate\":" << number(r.rate, "%.9g") << "}\n"
         << std::flush;
    check();
  }
  /// The points read back.
  const std::vector<curve_point>& curve() const { return curve_; }

private:
  static double real(const json_fields& f, const char* field) {
    const json_value& v = f.get(field);
    if (const auto* d = v.as<double>()) { return *d; }
    if (const auto* n = v.as<std::int64_t>()) { return static_cast<double>(*n); }
    f.fail(field, "is not a number");
  }
  /// False at the first line that is not of this run's past: a later step, or one that was cut or garbled.
  bool keep(const std::string& line, std::int64_t first_step) {
#if !defined(SQS_NO_EXCEPTIONS)
    try {
#endif
      const json_value v = parse_json(line, path_.string());
      const json_fields f(v, path_.string());
      const auto step = f.integer("step");
      if (step >= first_step) { return false; }
      curve_.push_back({step, real(f, "loss"), real(f, "rgb"), real(f, "depth")});
      return true;
#if !defined(SQS_NO_EXCEPTIONS)
    } catch (const file_error&) { return false; } // the log is for reading; the checkpoint is what counts
#endif
  }
  void check() const {
    if (!out_) {
      raise<file_error>("sqs::metrics_log: cannot write ", path_.string(),
                        "; check that the folder is writable and the disk "
                        "is not full");
    }
  }
  std::filesystem::path path_;
  std::vector<curve_point> curve_;
  std::ofstream out_;
};

} // namespace sqs::pipeline
