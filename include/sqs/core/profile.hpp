// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Where time and memory go, per named stage: totals for a table, events for a Chrome trace.

#include <sqs/core/error.hpp>

#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace sqs {

/// What one stage cost in one direction.
struct stage_total {
  const char* name = nullptr;      ///< a string literal such as "splat"
  const char* direction = nullptr; ///< "forward" or "backward"
  std::int64_t calls = 0;
  double seconds = 0;
  std::size_t peak_bytes = 0; ///< most live bytes of the executor's pool while the stage ran
};

/// Collects stages. Off by default; then a scope costs one branch. Names are string literals, so nothing is copied and
/// nothing is allocated while it runs (up to 64 stages, and as many events as `record_events` reserved).
class profiler {
public:
  using clock = std::chrono::steady_clock;
  bool enabled = false;

  /// Keeps up to `count` events for `chrome_trace`.
  void record_events(std::size_t count) { events_.reserve(count); }

  void add(const char* name, const char* direction, clock::time_point begin, clock::time_point end, std::size_t peak) {
    stage_total& t = total(name, direction);
    ++t.calls;
    t.seconds += std::chrono::duration<double>(end - begin).count();
    t.peak_bytes = peak > t.peak_bytes ? peak : t.peak_bytes;
    if (events_.size() < events_.capacity()) { events_.push_back({name, direction, begin, end}); }
  }
  /// Stages in the order they first ran.
  const stage_total* begin() const { return totals_.data(); }
  const stage_total* end() const { return totals_.data() + count_; }
  void reset() {
    count_ = 0;
    events_.clear();
  }
  /// The recorded events as Chrome trace JSON; opens in Perfetto and chrome://tracing.
  std::string chrome_trace() const {
    std::string out = "{\"traceEvents\":[";
    if (events_.empty()) { return out + "]}\n"; }
    const auto us = [&](clock::time_point t) {
      return std::to_string(std::chrono::duration<double, std::micro>(t - events_.front().begin).count());
    };
    for (std::size_t i = 0; i < events_.size(); ++i) {
      const auto& x = events_[i];
      out += (i ? ",\n" : "\n") + std::string("{\"name\":\"") + x.name + '/' + x.direction +
             "\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":" + us(x.begin) +
             ",\"dur\":" + std::to_string(std::chrono::duration<double, std::micro>(x.end - x.begin).count()) + "}";
    }
    return out + "\n]}\n";
  }

private:
  struct event {
    const char* name;
    const char* direction;
    clock::time_point begin, end;
  };
  stage_total& total(const char* name, const char* direction) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (totals_[i].name == name && totals_[i].direction == direction) { return totals_[i]; }
    }
    expects(count_ < totals_.size(), "sqs::profiler: more than ", totals_.size(), " stages; use fewer names");
    totals_[count_] = {name, direction, 0, 0, 0};
    return totals_[count_++];
  }
  std::array<stage_total, 64> totals_{};
  std::size_t count_ = 0;
  std::vector<event> events_;
};

} // namespace sqs
