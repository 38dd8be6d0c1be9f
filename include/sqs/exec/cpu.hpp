// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The CPU executor: a small thread pool owned by the executor value, its memory pool and its tape storage.
/// The only place of the library that starts threads for computing.

#include <sqs/exec/concept.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace sqs {

namespace detail {

/// Workers that run chunks of one loop at a time. They spin for a few microseconds, then sleep on a futex.
class thread_team {
public:
  explicit thread_team(int threads) {
    for (int i = 1; i < threads; ++i) {
      workers_.emplace_back([this] { work(); });
    }
  }
  ~thread_team() {
    stop_.store(true);
    generation_.fetch_add(1);
    generation_.notify_all();
    for (auto& w : workers_) { w.join(); }
  }
  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls f(chunk) for chunk = 0 .. chunks-1, each exactly once, in any order and on any thread.
  template <class F> void run(idx chunks, F& f) {
    // A loop inside a loop runs on the thread that meets it: the outer one already uses all of them.
    if (workers_.empty() || chunks <= 1 || busy_.exchange(true)) {
      for (idx c = 0; c < chunks; ++c) { f(c); }
      return;
    }
    function_ = &f;
    call_ = [](void* function, idx chunk) { (*static_cast<F*>(function))(chunk); };
    chunks_ = chunks;
    failure_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    pending_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    take_chunks();
    for (int left = pending_.load(std::memory_order_acquire); left != 0; left = pending_.load(std::memory_order_acquire)) {
      if (!spin([&] { return pending_.load(std::memory_order_acquire) == 0; })) { pending_.wait(left); }
    }
    busy_.store(false);
    if (failure_) { std::rethrow_exception(std::exchange(failure_, nullptr)); }
  }

private:
  template <class Done> static bool spin(Done done) {
    for (int i = 0; i < 4000; ++i) {
      if (done()) { return true; }
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    return false;
  }
  void work() {
    for (unsigned seen = 0;;) {
      if (!spin([&] { return generation_.load(std::memory_order_acquire) != seen; })) { generation_.wait(seen); }
      const unsigned now = generation_.load(std::memory_order_acquire);
      if (now == seen) { continue; }
      seen = now;
      if (stop_.load()) { return; }
      take_chunks();
      if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) { pending_.notify_one(); }
    }
  }
  void take_chunks() {
    for (idx c = next_.fetch_add(1, std::memory_order_relaxed); c < chunks_;
         c = next_.fetch_add(1, std::memory_order_relaxed)) {
#if defined(SQS_NO_EXCEPTIONS)
      call_(function_, c);
#else
      try {
        call_(function_, c);
      } catch (...) {
        if (!failed_.test_and_set()) {
          failure_ = std::current_exception();
          failed_.clear();
        }
        next_.store(chunks_, std::memory_order_relaxed);
      }
#endif
    }
  }

  std::vector<std::thread> workers_;
  std::atomic<unsigned> generation_{0};
  std::atomic<int> pending_{0};
  std::atomic<idx> next_{0};
  std::atomic<bool> stop_{false}, busy_{false};
  std::atomic_flag failed_{};
  idx chunks_ = 0;
  void* function_ = nullptr;
  void (*call_)(void*, idx) = nullptr;
  std::exception_ptr failure_;
};

struct cpu_state {
  explicit cpu_state(int threads) : team(threads), memory(new pool(host_slabs())) {}
  ~cpu_state() { pool::abandon(memory); }
  cpu_state(const cpu_state&) = delete;
  cpu_state& operator=(const cpu_state&) = delete;
  thread_team team;
  pool* memory;
  tape_storage tape;
  profiler profile;
};

} // namespace detail

/// The CPU executor. `cpu exec{.threads = 4};`, 0 means one thread per core.
///
/// Execution   Copies share threads and memory. One thread at a time may use it; results never depend on `threads`.
/// Cost        Threads start at the first use.
struct cpu {
  using memory_space = host;
  int threads = 0;
  std::shared_ptr<detail::cpu_state> shared = nullptr; ///< made on first use

  detail::cpu_state& state() {
    if (!shared) {
      const int available = static_cast<int>(std::thread::hardware_concurrency());
      expects(threads >= 0 && threads <= 1024, "sqs::cpu: threads is ", threads, "; give 0 (all cores) to 1024");
      shared = std::make_shared<detail::cpu_state>(threads > 0 ? threads : (available > 0 ? available : 1));
    }
    return *shared;
  }
  pool& memory() { return *state().memory; }
  tape_storage& tape() { return state().tape; }
  profiler& profile() { return state().profile; }
  int thread_count() { return state().team.threads(); }
};

static_assert(executor<cpu>);

} // namespace sqs
