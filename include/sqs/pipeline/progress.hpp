// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Progress of long work: a bar with rate and remaining time on a terminal, a plain line every ten seconds elsewhere.

#include <sqs/core/config.hpp>

#include <chrono>
#include <cstdio>
#include <string>

namespace sqs::pipeline {

/// "75 s", "12 min 5 s".
inline std::string duration_text(double seconds) {
  const auto s = static_cast<std::int64_t>(seconds + 0.5);
  return s < 120 ? std::to_string(s) + " s" : std::to_string(s / 60) + " min " + std::to_string(s % 60) + " s";
}

/// Writes progress to a stream of the host program. Nothing is printed when `out` is null.
class progress_bar {
public:
  /// `terminal`: the stream understands carriage returns (see isatty).
  progress_bar(std::FILE* out, bool terminal, std::string title, std::int64_t first, std::int64_t total)
      : out_(out),
        terminal_(terminal),
        title_(std::move(title)),
        first_(first),
        total_(total),
        start_(clock::now()),
        shown_(start_ - std::chrono::hours(1)) {}

  /// `done` of `total` units are finished; `note` stands behind the bar (a loss).
  void update(std::int64_t done, const std::string& note) {
    const auto now = clock::now();
    const bool last = done >= total_;
    const auto pause = terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000);
    if (out_ == nullptr || (!last && now - shown_ < pause)) { return; }
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const double rate = seconds > 0 ? static_cast<double>(done - first_) / seconds : 0;
    const double left = rate > 0 ? static_cast<double>(total_ - done) / rate : 0;
    constexpr std::int64_t cells = 24;
    const auto filled = static_cast<std::size_t>(total_ > 0 ? cells * done / total_ : cells);
    const std::string bar = std::string(filled, '#') + std::string(cells - filled, '.');
    std::fprintf(out_, "%s%s [%s] %lld/%lld  %s  %.2f/s  %s left%s", terminal_ ? "\r\033[K" : "", title_.c_str(),
                 bar.c_str(), static_cast<long long>(done), static_cast<long long>(total_), note.c_str(), rate,
                 duration_text(left).c_str(), terminal_ && !last ? "" : "\n");
    std::fflush(out_);
  }

private:
  using clock = std::chrono::steady_clock;
  std::FILE* out_;
  bool terminal_;
  std::string title_;
  std::int64_t first_, total_;
  clock::time_point start_, shown_;
};

} // namespace sqs::pipeline
