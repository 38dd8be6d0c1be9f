// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Runs of neighbours that belong together, found and visited in parallel.

#include <sqs/exec/parallel.hpp>
#include <sqs/tensor/tensor.hpp>

namespace sqs::sparse::detail {

/// Splits 0 .. n-1 into runs; `starts(i)` says whether i begins one, and does for i = 0. First counts them, so that the
/// caller can make room, then visits them.
///
/// Execution   Fixed chunks; a run belongs to the chunk it begins in, so run numbers do not depend on threads.
template <class Starts> class run_list {
public:
  run_list(cpu& e, idx n, Starts starts) : n_(n), starts_(std::move(starts)) {
    before_ = empty<idx, 1>(e, {(n + step - 1) / step});
    parallel_for(e, n, step, [&](idx begin, idx end) {
      idx c = 0;
      for (idx i = begin; i < end; ++i) { c += starts_(i) ? 1 : 0; }
      before_.data()[begin / step] = c;
    });
    count_ = exclusive_scan(e, before_.data(), before_.data(), before_.size());
  }
  idx count() const { return count_; }
  /// Calls f(run, begin, end) for every run.
  template <class F> void each(cpu& e, F&& f) const {
    parallel_for(e, n_, step, [&](idx begin, idx end) {
      idx run = before_.data()[begin / step], i = begin;
      while (i < end && !starts_(i)) { ++i; }
      while (i < end) {
        idx behind = i + 1;
        while (behind < n_ && !starts_(behind)) { ++behind; }
        f(run++, i, behind);
        i = behind;
      }
    });
  }

private:
  static constexpr idx step = 1 << 14;
  idx n_, count_ = 0;
  Starts starts_;
  tensor<idx, 1> before_; // runs that begin in earlier chunks
};

/// The first i in [0, n) with `bad(i)`, n if none.
template <class Bad> idx first_index(cpu& e, idx n, Bad&& bad) {
  const auto search = [&](idx begin, idx end) {
    for (idx i = begin; i < end; ++i) {
      if (bad(i)) { return i; }
    }
    return n;
  };
  return reduce(e, n, idx{1} << 14, n, search, [](idx a, idx b) { return std::min(a, b); });
}

} // namespace sqs::sparse::detail
