// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Loads samples ahead of the training step, in an order that depends on nothing but a seed.

#include <sqs/core/random.hpp>
#include <sqs/data/dataset.hpp>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace sqs {

/// Element `i` of a pseudo-random permutation of 0 .. n-1, a function of (seed, epoch, i, n) alone: four Feistel rounds
/// over the next even number of bits, walked until the result falls below n.
///
/// Cost        O(1), at most 4 walks on average; no table of n entries.
inline idx shuffled(std::uint64_t seed, idx epoch, idx i, idx n) {
  expects(n > 0 && i >= 0 && i < n, "sqs::shuffled: index ", i, " of ", n, "; give 0 .. n - 1");
  int half_bits = 1;
  while ((idx{1} << (2 * half_bits)) < n) { ++half_bits; }
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  auto x = static_cast<std::uint64_t>(i);
  do {
    std::uint64_t left = x >> half_bits, right = x & mask;
    for (int round = 0; round < 4; ++round) {
      const auto key = random_stream::of(seed, epoch, round);
      left = std::exchange(right, left ^ (key.bits(static_cast<idx>(right)) & mask));
    }
    x = left << half_bits | right;
  } while (x >= static_cast<std::uint64_t>(n));
  return static_cast<idx>(x);
}

/// Which sample step `step` trains on.
struct loader_position {
  idx step = 0, epoch = 0, index = 0; ///< `index` is the argument of `dataset::sample`
};

/// What happens where a sample cannot be read (`file_error`).
enum class corrupt_policy {
  stop,   ///< the error is thrown at its step; the call after it goes on
  replace ///< the step gets the next sample of the epoch's order instead: no other step changes, in any run
};

/// A sample that could not be read.
struct corrupt_sample {
  idx index = 0, step = 0; ///< `step` is the first one that wanted it
  std::string message;     ///< names the file
};

struct loader_options {
  std::uint64_t seed = 0;
  idx first_step = 0;  ///< where to resume: step k gives the same sample in every run
  bool shuffle = true; ///< each epoch visits every sample once, in an order of its own
  int threads = 1;     ///< that load at the same time
  int capacity = 3;    ///< items loaded ahead at most
  corrupt_policy corrupt = corrupt_policy::stop;
  idx most_corrupt = 100; ///< distinct samples that are replaced; one more stops
  /// Called by `next` for each replaced sample, once, in the order of the steps.
  std::function<void(const corrupt_sample&)> report = {};
};

/// The sample of a step, for any data set size. No state: a resumed run continues where it stopped.
/// `replacement` counts the corrupt ones before it.
inline loader_position position_of(const loader_options& o, idx step, idx samples, idx replacement = 0) {
  const idx epoch = step / samples, i = (step + replacement) % samples;
  return {step, epoch, o.shuffle ? shuffled(o.seed, epoch, i, samples) : i};
}

/// Loads and prepares items on threads of its own; `next` returns them in step order, for ever.
///
/// `Prepare` is called as prepare(sample, position) on the loader's threads, several at once: it must not share mutable
/// state. What it returns is the item; by default the sample itself. Draw augmentation from `position.step`, and the
/// items do not depend on the number of threads.
/// Execution   `next` belongs to one thread. The data set must outlive the loader.
/// Errors      What loading or preparing step k throws is rethrown by the `next` that would return k; the following
///             call goes on with k + 1. The message names the file, as the data set's does. Under
///             `corrupt_policy::replace` a file_error is reported instead, until there are more than `most_corrupt`.
/// Cost        memory for `capacity` items plus one per thread. The destructor waits for the samples in work.
template <dataset Set, class Prepare = std::function<sample(sample, loader_position)>> class loader {
public:
  using item_type = std::invoke_result_t<Prepare&, sample, loader_position>;

  loader(const Set& set, loader_options options) requires std::is_same_v<item_type, sample>
      : loader(set, options, [](sample s, loader_position) { return s; }) {}

  loader(const Set& set, loader_options options, Prepare prepare)
      : set_(set),
        options_(options),
        prepare_(std::move(prepare)),
        to_load_(options.first_step),
        to_return_(options.first_step) {
    expects(set.size() > 0, "sqs::loader: the data set is empty; check its path and its list of scenes");
    expects(options.first_step >= 0 && options.threads > 0 && options.capacity > 0, "sqs::loader: first_step ",
            options.first_step, ", threads ", options.threads, ", capacity ", options.capacity,
            "; steps count from 0, the others from 1");
    expects(options.most_corrupt >= 0, "sqs::loader: most_corrupt is ", options.most_corrupt, "; give 0 or more");
    slots_.resize(static_cast<std::size_t>(options.capacity));
    for (int t = 0; t < options.threads; ++t) {
      workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    }
  }
  loader(const loader&) = delete;
  loader& operator=(const loader&) = delete;
  ~loader() {
    for (auto& w : workers_) { w.request_stop(); }
    const std::scoped_lock lock(mutex_); // so that no worker sleeps between its check and its wait
    has_room_.notify_all();
  }

  /// The item of the next step; waits until it is loaded.
  item_type next() {
    std::unique_lock lock(mutex_);
    slot& s = slots_[static_cast<std::size_t>(to_return_ % options_.capacity)];
    is_ready_.wait(lock, [&] { return s.item.has_value() || s.failure; });
    std::optional<item_type> item = std::exchange(s.item, std::nullopt);
    const std::exception_ptr failure = std::exchange(s.failure, nullptr);
    const std::vector<corrupt_sample> replaced = std::exchange(s.replaced, {});
    ++to_return_;
    lock.unlock();
    has_room_.notify_all();
    for (const auto& c : replaced) { note(c); }
    if (failure) { std::rethrow_exception(failure); }
    return std::move(*item);
  }
  /// The samples that were replaced so far, by steps.
  const std::vector<corrupt_sample>& corrupt_samples() const { return corrupt_; }
  /// The step whose item `next` will return.
  idx step() const { return to_return_; }
  loader_position position(idx step) const { return position_of(options_, step, set_.size()); }

private:
  struct slot {
    std::optional<item_type> item;
    std::exception_ptr failure;
    std::vector<corrupt_sample> replaced;
  };

  void note(const corrupt_sample& c) {
    if (std::any_of(corrupt_.begin(), corrupt_.end(), [&](const auto& known) { return known.index == c.index; })) {
      return;
    }
    corrupt_.push_back(c);
    if (options_.report) { options_.report(c); }
    if (static_cast<idx>(corrupt_.size()) > options_.most_corrupt) {
      raise<file_error>("sqs::loader: ", corrupt_.size(), " samples could not be read, more than the ",
                        options_.most_corrupt, " of loader_options::most_corrupt; the last: ", c.message);
    }
  }

  void work(const std::stop_token& stop) {
    for (;;) {
      idx step = 0;
      {
        std::unique_lock lock(mutex_);
        // Step k reuses the slot of k - capacity, which must have been returned before.
        has_room_.wait(lock, [&] { return stop.stop_requested() || to_load_ < to_return_ + options_.capacity; });
        if (stop.stop_requested()) { return; }
        step = to_load_++;
      }
      slot done;
#if defined(SQS_NO_EXCEPTIONS)
      load(step, done);
#else
      try {
        load(step, done);
      } catch (...) { done.failure = std::current_exception(); }
#endif
      const std::scoped_lock lock(mutex_);
      slots_[static_cast<std::size_t>(step % options_.capacity)] = std::move(done);
      is_ready_.notify_one();
    }
  }
  void load(idx step, slot& to) {
    for (idx replacement = 0;; ++replacement) {
      const loader_position p = position_of(options_, step, set_.size(), replacement);
#if defined(SQS_NO_EXCEPTIONS)
      to.item.emplace(prepare_(set_.sample(p.index), p));
      return;
#else
      try {
        to.item.emplace(prepare_(set_.sample(p.index), p));
        return;
      } catch (const file_error& e) {
        if (options_.corrupt == corrupt_policy::stop) { std::rethrow_exception(std::current_exception()); }
        to.replaced.push_back({p.index, step, e.what()});
        if (replacement + 1 == set_.size()) { std::rethrow_exception(std::current_exception()); } // none can be read
      }
#endif
    }
  }

  const Set& set_;
  const loader_options options_;
  Prepare prepare_;
  std::mutex mutex_;
  std::condition_variable is_ready_, has_room_;
  std::vector<slot> slots_;
  idx to_load_, to_return_;
  std::vector<corrupt_sample> corrupt_; // belongs to the thread that calls `next`
  std::vector<std::jthread> workers_;   // last: joined before anything they use goes away
};

template <dataset Set> loader(const Set&, loader_options) -> loader<Set>;
template <dataset Set, class Prepare> loader(const Set&, loader_options, Prepare) -> loader<Set, Prepare>;

} // namespace sqs
