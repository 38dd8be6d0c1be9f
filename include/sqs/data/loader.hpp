// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Loads samples ahead of the training step, in an order that depends on nothing but a seed.

#include <sqs/core/random.hpp>
#include <sqs/data/dataset.hpp>

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

struct loader_options {
  std::uint64_t seed = 0;
  idx first_step = 0;  ///< where to resume: step k gives the same sample in every run
  bool shuffle = true; ///< each epoch visits every sample once, in an order of its own
  int threads = 1;     ///< that load at the same time
  int capacity = 3;    ///< items loaded ahead at most
};

/// The sample of a step, for any data set size. No state: a resumed run continues where it stopped.
inline loader_position position_of(const loader_options& o, idx step, idx samples) {
  const idx epoch = step / samples, i = step % samples;
  return {step, epoch, o.shuffle ? shuffled(o.seed, epoch, i, samples) : i};
}

/// Loads and prepares items on threads of its own; `next` returns them in step order, for ever.
///
/// `Prepare` is called as prepare(sample, position) on the loader's threads, several at once: it must not share mutable
/// state. What it returns is the item; by default the sample itself. Draw augmentation from `position.step`, and the
/// items do not depend on the number of threads.
/// Execution   `next` belongs to one thread. The data set must outlive the loader.
/// Errors      What loading or preparing step k throws is rethrown by the `next` that would return k; the following
///             call goes on with k + 1. The message names the file, as the data set's does.
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
    ++to_return_;
    lock.unlock();
    has_room_.notify_all();
    if (failure) { std::rethrow_exception(failure); }
    return std::move(*item);
  }
  /// The step whose item `next` will return.
  idx step() const { return to_return_; }
  loader_position position(idx step) const { return position_of(options_, step, set_.size()); }

private:
  struct slot {
    std::optional<item_type> item;
    std::exception_ptr failure;
  };

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
    const loader_position p = position(step);
    to.item.emplace(prepare_(set_.sample(p.index), p));
  }

  const Set& set_;
  const loader_options options_;
  Prepare prepare_;
  std::mutex mutex_;
  std::condition_variable is_ready_, has_room_;
  std::vector<slot> slots_;
  idx to_load_, to_return_;
  std::vector<std::jthread> workers_; // last: joined before anything they use goes away
};

template <dataset Set> loader(const Set&, loader_options) -> loader<Set>;
template <dataset Set, class Prepare> loader(const Set&, loader_options, Prepare) -> loader<Set, Prepare>;

} // namespace sqs
