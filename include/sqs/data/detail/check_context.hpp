// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the parts of the check of a data set in the layout of nuScenes share.

#include <sqs/data/detail/check_repairs.hpp>
#include <sqs/data/nuscenes.hpp>

namespace sqs::detail {

/// The data set at hand, and where findings go.
struct nuscenes_check {
  std::filesystem::path root;
  std::string version;
  const check_options& options;
  check_report& report;
  nuscenes_repairs again;
  cpu exec;
  idx lidarseg_entries = 0; ///< in the table, whatever they are for

  nuscenes_check(std::filesystem::path r, std::string v, const check_options& o, check_report& to)
      : root(std::move(r)),
        version(std::move(v)),
        options(o),
        report(to),
        again(root, version),
        exec{.threads = o.threads} {}

  bool has_folder(const std::filesystem::path& name) const {
    std::error_code ignored;
    return std::filesystem::is_directory(root / name, ignored);
  }
  /// `f(i, problems)` for all of [0, n) on threads.
  template <class F> void all(const std::string& stage, std::size_t n, F&& f) {
    check_all(exec, options, report, stage, static_cast<idx>(n),
              [&](idx i, std::vector<data_problem>& out) { f(static_cast<std::size_t>(i), out); });
  }
};

/// The first byte of a file that is no blank and the last one, -1 where there is none: all that is looked at of JSON
/// when nothing is decoded.
inline std::array<int, 2> text_ends(const std::filesystem::path& path) {
  const file_calls calls;
  const open_file file(calls, path.string(), O_RDONLY | O_NONBLOCK);
  std::array<int, 2> out{-1, -1};
  std::array<char, 64> b{};
  const auto visible = [](char c) { return c > ' '; };
  const auto n = file ? ::pread(file.get(), b.data(), b.size(), 0) : 0;
  const auto end = file ? ::lseek(file.get(), 0, SEEK_END) : 0;
  if (n <= 0 || end <= 0) { return out; }
  if (const auto at = std::find_if(b.begin(), b.begin() + n, visible); at != b.begin() + n) { out[0] = *at; }
  const auto from = std::max<off_t>(0, end - static_cast<off_t>(b.size()));
  const auto m = ::pread(file.get(), b.data(), b.size(), from);
  for (auto i = m; i > 0 && out[1] < 0; --i) {
    if (visible(b[static_cast<std::size_t>(i - 1)])) { out[1] = b[static_cast<std::size_t>(i - 1)]; }
  }
  return out;
}
/// Raises if a file of JSON does not begin and end as a list or an object does.
inline void require_json_ends(const std::filesystem::path& path) {
  const auto ends = text_ends(path);
  if (ends != std::array<int, 2>{'[', ']'} && ends != std::array<int, 2>{'{', '}'}) {
    raise<file_error>("sqs::check: ", path.string(),
                      " does not begin and end as JSON does; it is empty, cut short or damaged");
  }
}

} // namespace sqs::detail
