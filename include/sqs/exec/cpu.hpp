// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The CPU executor: a small thread pool owned by the executor value, its memory pool and its tape storage.
/// The only place of the library that starts threads for computing.

#include <sqs/exec/concept.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sqs {

namespace detail {

/// Workers that run chunks of one loop at a time. They spin for a few microseconds, then sleep on a futex.
///
/// A loop is published as one word, `ticket_` = (loop number, chunks nobody has taken). Whoever lowers it owns a chunk;
/// the loop number keeps a worker that slept through a loop from taking chunks of the next one under the old function.
/// The caller waits for chunks, not for workers: a worker the system has not scheduled costs nothing.
class thread_team {
public:
  explicit thread_team(int threads) {
    for (int i = 1; i < threads; ++i) {
      workers_.emplace_back([this] { work(); });
    }
  }
  ~thread_team() {
    stop_.store(true);
    wake_.fetch_add(1);
    wake_.notify_all();
    for (auto& w : workers_) { w.join(); }
  }
  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls f(chunk) for chunk = 0 .. chunks-1, each exactly once, in any order and on any thread.
  template <class F> void run(idx chunks, F& f) {
    run(chunks, &f, [](void* function, idx chunk) { (*static_cast<F*>(function))(chunk); });
  }
  /// The same with a function behind a pointer: compiled once, not for every loop.
  void run(idx chunks, void* function, void (*call)(void*, idx)) {
    expects(chunks < (idx{1} << 32), "sqs::parallel_for: ", chunks, " chunks; give a larger grain");
    // A loop inside a loop runs on the thread that meets it: the outer one already uses all of them.
    if (workers_.empty() || chunks <= 1 || busy_.exchange(true)) {
      for (idx c = 0; c < chunks; ++c) { call(function, c); }
      return;
    }
    function_.store(function, std::memory_order_relaxed);
    call_.store(call, std::memory_order_relaxed);
    chunks_.store(chunks, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    ticket_.store((++loop_ << 32) | static_cast<std::uint64_t>(chunks), std::memory_order_release);
    wake_.fetch_add(1, std::memory_order_release);
    wake_.notify_all();
    take_chunks();
    const auto finished = [&] { return done_.load(std::memory_order_acquire) == chunks; };
    while (!finished()) {
      const idx seen = done_.load(std::memory_order_acquire);
      if (!spin(finished) && seen != chunks) { done_.wait(seen); }
    }
    busy_.store(false);
    if (failure_) { std::rethrow_exception(std::exchange(failure_, nullptr)); }
  }

private:
  template <class Done> static bool spin(Done done) {
    for (int i = 0; i < 2000; ++i) {
      if (done()) { return true; }
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    return false;
  }
  void work() {
    for (unsigned seen = 0; !stop_.load();) {
      const unsigned now = wake_.load(std::memory_order_acquire);
      if (now == seen) {
        if (!spin([&] { return wake_.load(std::memory_order_acquire) != seen; })) { wake_.wait(seen); }
        continue;
      }
      seen = now;
      take_chunks();
    }
  }
  void take_chunks() {
    constexpr std::uint64_t left_mask = 0xFFFFFFFFull;
    for (std::uint64_t t = ticket_.load(std::memory_order_acquire); (t & left_mask) != 0;) {
      void* const function = function_.load(std::memory_order_relaxed);
      const auto call = call_.load(std::memory_order_relaxed);
      const idx chunks = chunks_.load(std::memory_order_relaxed);
      // If this succeeds, the loop read above is still the current one: it cannot end while a chunk is untaken.
      if (!ticket_.compare_exchange_weak(t, t - 1, std::memory_order_acq_rel, std::memory_order_acquire)) { continue; }
      run_chunk(function, call, chunks - static_cast<idx>(t & left_mask));
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) { done_.notify_all(); }
      t = ticket_.load(std::memory_order_acquire);
    }
  }
  void run_chunk(void* function, void (*call)(void*, idx), idx chunk) {
#if defined(SQS_NO_EXCEPTIONS)
    call(function, chunk);
#else
    try {
      call(function, chunk);
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) { failure_ = std::current_exception(); }
    }
#endif
  }

  std::vector<std::thread> workers_;
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<unsigned> wake_{0};
  std::atomic<idx> done_{0}, chunks_{0};
  std::atomic<void*> function_{nullptr};
  std::atomic<void (*)(void*, idx)> call_{nullptr};
  std::atomic<bool> stop_{false}, busy_{false};
  std::uint64_t loop_ = 0;
  std::mutex failure_mutex_;
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
/// Execution   Copies made after the first use share threads and memory. One thread at a time may use it; results never depend on `threads`.
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

/// Sets n numbers.
///
/// Execution   pieces of 256 KiB run in any order, on any thread: clearing memory is work for all cores, too.
template <class T> void fill(cpu& e, T* p, idx n, T value) {
  constexpr idx piece = std::max<idx>(1, (idx{1} << 18) / idx{sizeof(T)});
  if (n <= piece) {
    std::fill_n(p, n, value);
    return;
  }
  auto chunk = [&](idx c) { std::fill_n(p + c * piece, std::min(piece, n - c * piece), value); };
  e.state().team.run((n + piece - 1) / piece, chunk);
}

} // namespace sqs
