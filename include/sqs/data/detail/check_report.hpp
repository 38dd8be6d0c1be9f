// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What a check of a data set finds, and what its parts share.

#include <sqs/core/file.hpp>
#include <sqs/exec/parallel.hpp>
#include <sqs/sensor/sample.hpp>

#include <functional>
#include <map>
#include <optional>

namespace sqs {

/// Something wrong, and the shell command that repairs it. Archives have the names their publishers gave them.
struct data_problem {
  std::string what, repair;
};

struct check_options {
  std::size_t most = 10; ///< problems that are kept; all are counted
  bool decode = true;    ///< whole images, sweeps and labels, not only their sizes
  int threads = 0;       ///< 0: all cores
  limits limit = {};
  /// Called from the thread that checks.
  std::function<void(const std::string& stage, idx done, idx total)> progress = {};
};

struct check_report {
  std::filesystem::path folder;
  std::string layout = "unknown";
  std::map<std::string, idx> counts;  ///< what was found, by name
  std::vector<data_problem> problems; ///< the first ones
  std::size_t problem_count = 0, most = 10;

  bool good() const { return problem_count == 0; }
  void add(std::string what, std::string repair) {
    if (problem_count++ >= most) { return; }
    for (auto* text : {&what, &repair}) { // names in files may hold what a terminal obeys
      std::replace_if(
          text->begin(), text->end(), [](char c) { return (c >= 0 && c < ' ') || c == 127; }, '?');
    }
    problems.push_back({std::move(what), std::move(repair)});
  }
};

namespace detail {

/// A path as one word of a shell.
inline std::string shell_word(const std::filesystem::path& path) {
  const std::string s = path.string();
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./=:,@";
  if (!s.empty() && s.find_first_not_of(plain) == std::string::npos) { return s; }
  std::string out = "'";
  for (const char c : s) { out += c == '\'' ? std::string("'\\''") : std::string(1, c); }
  return out + "'";
}

/// The message of the error `f` ends in, without `sqs::where:`; none if it ends well.
template <class F> std::optional<std::string> problem_of(F&& f) {
#if defined(SQS_NO_EXCEPTIONS)
  f();
#else
  try {
    f();
  } catch (const error& e) {
    const std::string text = e.what();
    const auto colon = text.find(": ");
    return colon == std::string::npos ? text : text.substr(colon + 2);
  }
#endif
  return std::nullopt;
}

/// Runs `check(i)` for all of [0, n) on threads and adds what it returns to the report in order, in batches so that
/// progress shows.
template <class F>
void check_all(cpu& e, const check_options& o, check_report& report, const std::string& stage, idx n, F&& check) {
  constexpr idx batch = 64;
  if (o.progress && n > 0) { o.progress(stage, 0, n); }
  for (idx begin = 0; begin < n; begin += batch) {
    const idx end = std::min(n, begin + batch);
    std::vector<std::vector<data_problem>> found(static_cast<std::size_t>(end - begin));
    parallel_for(e, end - begin, 1, [&](idx first, idx last) {
      for (idx i = first; i < last; ++i) { check(begin + i, found[static_cast<std::size_t>(i)]); }
    });
    for (auto& list : found) {
      for (auto& p : list) { report.add(std::move(p.what), std::move(p.repair)); }
    }
    if (o.progress) { o.progress(stage, end, n); }
  }
}

/// Raises if a sweep tells nothing: what disks and broken copies leave is often a file of the right size, all zero.
inline void require_different_points(const lidar_sweep& s, const std::filesystem::path& path) {
  const auto& p = s.points;
  const auto same = [&](const vec3<float>& q) { return q.x == p[0].x && q.y == p[0].y && q.z == p[0].z; };
  const bool zero = p[0].x == 0 && p[0].y == 0 && p[0].z == 0;
  if ((p.size() > 1 || zero) && std::all_of(p.begin(), p.end(), same)) {
    raise<file_error>("sqs::check: all ", p.size(), " points of ", path.string(), " are (", p[0].x, ", ", p[0].y, ", ",
                      p[0].z, "); it was not written to its end");
  }
}

/// Raises if a label file is empty, larger than `most`, or does not begin and end as its kind does: all that can be told
/// without reading it.
inline void require_ends(const std::filesystem::path& path, std::int64_t bytes, std::uint64_t most) {
  const auto wrong = [&](const char* what) { raise<file_error>("sqs::check: ", path.string(), " ", what); };
  if (bytes == 0) { wrong("is empty"); }
  if (static_cast<std::uint64_t>(bytes) > most) { wrong("is larger than any such file"); }
  const file_calls calls;
  const open_file file(calls, path.string(), O_RDONLY | O_NONBLOCK);
  if (!file) { wrong("cannot be opened"); }
  const auto is = [&](const char* expected, std::size_t n, std::int64_t at) {
    char found[8]{};
    return at >= 0 && ::pread(file.get(), found, n, at) == static_cast<ssize_t>(n) &&
           std::equal(found, found + n, expected);
  };
  const auto kind = path.extension();
  if (kind == ".npy" && !is("\x93NUMPY", 6, 0)) { wrong("does not begin as an .npy file does"); }
  if (kind == ".npz" && (!is("PK\3\4", 4, 0) || !is("PK\5\6", 4, bytes - 22))) {
    wrong("does not begin and end as an .npz file does; it is cut short or damaged");
  }
}

/// Size of a regular file, -1 if there is none.
inline std::int64_t size_of(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) { return -1; }
  const auto n = std::filesystem::file_size(path, error);
  return error ? -1 : static_cast<std::int64_t>(n);
}

} // namespace detail

} // namespace sqs
