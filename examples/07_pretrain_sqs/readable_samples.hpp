// SPDX-License-Identifier: Apache-2.0
#pragma once
// What --corrupt does: samples that cannot be read stop the run, or are reported once and replaced.

#include <sqs/data/loader.hpp>

#include <cstdio>
#include <map>
#include <mutex>
#include <string>

/// A data set in whose place the next readable sample stands where one cannot be read. The loader has the same policy,
/// but there the replacement depends on the epoch; here it is always the same, also where samples are kept in memory,
/// scored or shown, so a resumed run still goes on with the same bytes.
template <sqs::dataset Set> class readable_samples {
public:
  /// `most`: distinct samples that are replaced; one more stops.
  readable_samples(const Set& set, sqs::corrupt_policy policy, sqs::idx most = 100)
      : set_(set),
        policy_(policy),
        most_(most) {}

  sqs::idx size() const { return set_.size(); }
  /// Thread-safe. Reports each sample once, to stderr.
  sqs::sample sample(sqs::idx i) const {
    for (sqs::idx k = 0;; ++k) {
      const sqs::idx at = (i + k) % size();
      try {
        if (!known(at)) { return set_.sample(at); }
      } catch (const sqs::file_error& e) {
        if (policy_ == sqs::corrupt_policy::stop || k + 1 == size() || !report(at, e.what())) { throw; }
      }
      sqs::expects(k + 1 < size(), "none of ", size(), " samples can be read; the first: ", reason(i));
    }
  }

private:
  bool known(sqs::idx i) const {
    const std::scoped_lock lock(mutex_);
    return corrupt_.contains(i);
  }
  /// Whether one more may be replaced.
  bool report(sqs::idx i, const char* why) const {
    const std::scoped_lock lock(mutex_);
    if (corrupt_.contains(i)) { return true; }
    if (static_cast<sqs::idx>(corrupt_.size()) >= most_) { return false; }
    corrupt_.emplace(i, why);
    std::fprintf(stderr, "pretrain_sqs: %s; the next sample takes its place\n", why);
    return true;
  }
  std::string reason(sqs::idx i) const {
    const std::scoped_lock lock(mutex_);
    return corrupt_.at(i);
  }

  const Set& set_;
  sqs::corrupt_policy policy_;
  sqs::idx most_;
  mutable std::mutex mutex_;
  mutable std::map<sqs::idx, std::string> corrupt_;
};
