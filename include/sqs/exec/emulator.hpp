// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Runs the body of a CUDA kernel on the CPU, to test it where there is no GPU: every CUDA thread is a fiber, barriers
/// and shuffles switch between them, and they go on in random order, some far behind the others, so that a missing barrier
/// shows. Copies that run beside a thread arrive at once or when it waits for them, at random: so a missing wait shows, and
/// memory that is filled again too early.
///
/// It does not show: races between two barriers of the real memory model, use of one warp's lockstep, bank conflicts,
/// anything about speed.

#include <sqs/core/error.hpp>
#include <sqs/exec/detail/fiber.hpp>
#include <sqs/exec/team.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace sqs::emulator {

/// The stack of one emulated thread.
#if defined(SQS_FIBER_ASAN)
inline constexpr std::size_t stack_bytes = 256 * 1024; // red zones make frames several times larger
#else
inline constexpr std::size_t stack_bytes = 64 * 1024;
#endif

namespace detail {

/// Thrown inside a fiber that must end because the launch has failed elsewhere; runs the destructors on its stack.
struct cancelled {};

/// One block of threads: its fibers, its shared memory and the loop that resumes them.
template <class Switch> class block_runner {
public:
  enum class state { ready, at_sync, at_shuffle, done };

  /// 16 bytes on their way to shared memory.
  struct copy {
    void* to;
    const void* from; ///< null: zeros
    int group;
    void arrive() const {
      static constexpr std::byte zeros[16] = {};
      std::memcpy(to, from != nullptr ? from : zeros, sizeof zeros);
    }
  };
  struct fiber {
    Switch context;
    sqs::detail::sanitizer_stack sanitizer;
    std::byte* stack = nullptr;
    state now = state::done;
    alignas(16) std::array<std::byte, 16> slot{}; ///< the value this lane shows to the others in a shuffle
    std::vector<copy> copies;                     ///< that have not arrived
    int group = 0;                                ///< of the copies that begin now
  };

  block_runner(int threads, std::uint64_t seed)
      : fibers_(static_cast<std::size_t>(threads)),
        random_(seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du),
        stacks_(new std::byte[guard_bytes + fibers_.size() * stack_bytes]) {
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
      fibers_[i].stack = stacks_.get() + guard_bytes + i * stack_bytes;
    }
  }

  /// Runs `body(thread)` for all threads of one block; raises what a thread raised, or barrier divergence.
  template <class Body> void run(int block, Body& body) {
    block_ = block;
    shared_.clear();
    failure_ = nullptr;
    cancelled_ = false;
    body_ = &body;
    call_ = [](void* b, int thread) { (*static_cast<Body*>(b))(thread); };
    for (auto& f : fibers_) {
      std::fill_n(f.stack, canary_bytes, canary);
      f.context.prepare(f.stack, stack_bytes, &entry);
      f.sanitizer = {};
      f.now = state::ready;
      f.copies.clear(), f.group = 0;
    }
    std::vector<int> order, laggards;
    choose_laggards();
    while (std::any_of(fibers_.begin(), fibers_.end(), [](const fiber& f) { return f.now != state::done; })) {
      release_barriers();
      order.clear(), laggards.clear();
      for (int i = 0; i < size(); ++i) {
        if (at(i).now == state::ready) { (lags(i) ? laggards : order).push_back(i); }
      }
      if (order.empty()) { order.swap(laggards); }
      if (order.empty()) {
        fail(divergence());
        continue;
      }
      shuffle(order);
      for (const int i : order) { resume(i); }
    }
    if (failure_) { std::rethrow_exception(failure_); }
  }

  int size() const { return static_cast<int>(fibers_.size()); }
  fiber& at(int thread) { return fibers_[static_cast<std::size_t>(thread)]; }

  /// Called on a fiber: gives up the processor until the barrier it waits at is released.
  void wait(int thread, state where) {
    at(thread).now = where;
    back_to_scheduler(thread, false);
    if (cancelled_) { throw cancelled{}; }
  }

  /// The block's array of `bytes` bytes for `key`. Filled with random bytes: nothing may rely on zeros.
  std::byte* shared(const void* key, std::size_t bytes) {
    for (auto& a : shared_) {
      if (a.key == key) { return a.bytes.get(); }
    }
    shared_.push_back({key, std::unique_ptr<std::byte[], aligned_delete>(
                                static_cast<std::byte*>(::operator new[](bytes, std::align_val_t{64})))});
    std::generate_n(shared_.back().bytes.get(), bytes, [&] { return static_cast<std::byte>(next_random()); });
    return shared_.back().bytes.get();
  }

  /// A copy of a thread begins; it arrives now or when the thread waits for it.
  void begin_copy(int thread, void* to, const void* from, bool there) {
    const auto beyond = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16; };
    expects(beyond(to) == 0 && beyond(from) == 0, "sqs::emulator: thread ", thread, " of block ", block_,
            " copies from an address ", beyond(from), " bytes beyond a multiple of 16 to one ", beyond(to),
            " beyond; copy_async takes multiples of 16");
    const copy c{to, there ? from : nullptr, at(thread).group};
    if (next_random() % 2 == 0) { return c.arrive(); }
    at(thread).copies.push_back(c);
  }
  void end_copies(int thread, int but) {
    fiber& f = at(thread);
    const auto over = [&](const copy& c) { return c.group < f.group - but; };
    for (const copy& c : f.copies) {
      if (over(c)) { c.arrive(); }
    }
    std::erase_if(f.copies, over);
  }

private:
  struct aligned_delete {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  struct shared_block {
    const void* key;
    std::unique_ptr<std::byte[], aligned_delete> bytes;
  };
  static constexpr std::size_t canary_bytes = 256;
  static constexpr std::size_t guard_bytes = 16 * 1024; ///< below the first stack, so that an overflow stays inside
  static constexpr std::byte canary{0xa5};

  /// The first function of every fiber. It takes no argument: who runs is known to the scheduler of this thread.
  static void entry() {
    block_runner& self = *current();
    const int thread = self.running_;
    self.at(thread).sanitizer.enter();
    self.scheduler_sanitizer_from(self.at(thread).sanitizer);
    try {
      self.call_(self.body_, thread);
    } catch (const cancelled&) {
    } catch (...) { self.fail(std::current_exception()); }
    self.at(thread).now = state::done;
    self.back_to_scheduler(thread, true);
  }

  static block_runner*& current() {
    static thread_local block_runner* runner = nullptr;
    return runner;
  }

  void resume(int thread) {
    // Nested launches keep their own runner: a body may test another kernel.
    block_runner* const outer = std::exchange(current(), this);
    running_ = thread;
    fiber& f = at(thread);
    scheduler_sanitizer_.leave(f.stack, stack_bytes, false);
    scheduler_.switch_to(f.context);
    scheduler_sanitizer_.enter();
    current() = outer;
    if (!std::all_of(f.stack, f.stack + canary_bytes, [](std::byte b) { return b == canary; })) {
      // The neighbour's stack may be damaged as well: no fiber is resumed again, not even to run its destructors.
      raise<precondition_error>("sqs::emulator: thread ", thread, " of block ", block_, " used more than its ",
                                stack_bytes / 1024, " KiB of stack; move large arrays to shared memory");
    }
  }

  void back_to_scheduler(int thread, bool last) {
    fiber& f = at(thread);
    f.sanitizer.leave(scheduler_bottom_, scheduler_size_, last);
    f.context.switch_to(scheduler_);
    f.sanitizer.enter();
  }

  void scheduler_sanitizer_from(const sqs::detail::sanitizer_stack& entered) {
    scheduler_bottom_ = entered.bottom;
    scheduler_size_ = entered.size;
  }

  /// A block barrier opens when every thread has come, a shuffle when every lane of the warp has.
  void release_barriers() {
    release(0, size(), state::at_sync);
    for (int first = 0; first < size(); first += warp_size) {
      release(first, std::min(first + warp_size, size()), state::at_shuffle);
    }
  }
  void release(int first, int last, state where) {
    for (int i = first; i < last; ++i) {
      if (at(i).now != where) { return; }
    }
    for (int i = first; i < last; ++i) { at(i).now = state::ready; }
  }

  std::exception_ptr divergence() {
    std::array<int, 4> count{};
    for (const auto& f : fibers_) { ++count[static_cast<std::size_t>(f.now)]; }
    const int sync = count[static_cast<std::size_t>(state::at_sync)];
    const int shuffling = count[static_cast<std::size_t>(state::at_shuffle)];
    std::string where;
    if (sync > 0) { where += concat(sync, " of ", size(), " threads at sync, "); }
    if (shuffling > 0) { where += concat(shuffling, " of ", size(), " threads at a shuffle, "); }
    return std::make_exception_ptr(
        precondition_error(concat("sqs::emulator: barrier divergence: ", where,
                                  count[static_cast<std::size_t>(state::done)], " exited, in block ", block_,
                                  "; every thread of the block must reach every sync, every lane of the warp "
                                  "every shuffle")));
  }

  /// Ends the block: waiting fibers are woken and leave by `cancelled`. The first failure is what is reported.
  void fail(std::exception_ptr why) {
    if (!failure_) { failure_ = std::move(why); }
    cancelled_ = true;
    for (auto& f : fibers_) {
      if (f.now != state::done) { f.now = state::ready; }
    }
  }

  /// In a third of the blocks a warp, in another a thread goes on only while all others wait: whoever needs a barrier to
  /// wait for it reads what it has not written yet.
  void choose_laggards() {
    const auto kind = next_random() % 3;
    const int thread = static_cast<int>(next_random() % fibers_.size());
    first_laggard_ = kind == 0 ? size() : kind == 1 ? thread / warp_size * warp_size : thread;
    last_laggard_ = kind == 1 ? first_laggard_ + warp_size : first_laggard_ + 1;
  }
  bool lags(int thread) const { return thread >= first_laggard_ && thread < last_laggard_; }

  std::uint64_t next_random() { // xorshift64*
    random_ ^= random_ >> 12;
    random_ ^= random_ << 25;
    random_ ^= random_ >> 27;
    return (random_ * 0x2545f4914f6cdd1du) >> 32;
  }
  void shuffle(std::vector<int>& order) {
    for (std::size_t i = order.size(); i > 1; --i) { std::swap(order[i - 1], order[next_random() % i]); }
  }

  std::vector<fiber> fibers_;
  std::uint64_t random_;
  std::unique_ptr<std::byte[]> stacks_;
  std::vector<shared_block> shared_;
  Switch scheduler_;
  sqs::detail::sanitizer_stack scheduler_sanitizer_;
  const void* scheduler_bottom_ = nullptr;
  std::size_t scheduler_size_ = 0;
  std::exception_ptr failure_;
  void* body_ = nullptr;
  void (*call_)(void*, int) = nullptr;
  int running_ = 0, block_ = 0, first_laggard_ = 0, last_laggard_ = 0;
  bool cancelled_ = false;
};

/// One address per array of shared memory.
template <class Tag, class T, int N> struct shared_key { static constexpr char value = 0; };

} // namespace detail

/// The team of one emulated thread. Made by `launch` only.
template <class Switch = sqs::detail::default_switch> class emulated_team {
public:
  using runner = detail::block_runner<Switch>;

  emulated_team(runner& r, int thread, int block, int blocks)
      : runner_(&r),
        thread_(thread),
        block_(block),
        blocks_(blocks) {}

  int thread() const { return thread_; }
  int size() const { return runner_->size(); }
  int block() const { return block_; }
  int blocks() const { return blocks_; }
  void sync() { runner_->wait(thread_, runner::state::at_sync); }
  bool sync_any(bool p) {
    show(p);
    sync();
    bool any = false;
    for (int i = 0; i < size(); ++i) { any = any || shown<bool>(i); }
    sync();
    return any;
  }
  void sync_warp() { runner_->wait(thread_, runner::state::at_shuffle); }
  unsigned ballot(bool p) {
    show(p);
    sync_warp();
    unsigned bits = 0;
    for (int i = 0; i < warp_size; ++i) { bits |= shown<bool>(thread_ - lane() + i) ? 1u << i : 0u; }
    sync_warp();
    return bits;
  }

  template <class T> T shfl(T v, int lane) { return exchange(v, thread_ / warp_size * warp_size + lane % warp_size); }
  template <class T> T shfl_up(T v, int n) { return exchange(v, lane() >= n ? thread_ - n : thread_); }
  template <class T> T shfl_down(T v, int n) { return exchange(v, lane() + n < warp_size ? thread_ + n : thread_); }
  template <class T> T shfl_xor(T v, int n) { return exchange(v, thread_ - lane() + ((lane() ^ n) & (warp_size - 1))); }

  void copy_async(void* to, const void* from, bool there) { runner_->begin_copy(thread_, to, from, there); }
  void commit_copies() { ++runner_->at(thread_).group; }
  template <int N> void wait_copies() { runner_->end_copies(thread_, N); }

  template <class T> void add(T* p, T v) { *p = static_cast<T>(*p + v); }
  template <class Tag, class T, int N> T* shared() {
    static_assert(std::is_trivially_copyable_v<T>, "shared memory holds trivially copyable values only");
    return reinterpret_cast<T*>(runner_->shared(&detail::shared_key<Tag, T, N>::value, sizeof(T) * N));
  }

private:
  int lane() const { return thread_ % warp_size; }

  /// Shows `v`, waits for the warp, reads, waits again before anybody shows the next value.
  template <class T> T exchange(T v, int from) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16, "a shuffle moves plain values of up to 16 bytes");
    show(v);
    sync_warp();
    v = shown<T>(from);
    sync_warp();
    return v;
  }
  template <class T> void show(const T& v) { std::memcpy(runner_->at(thread_).slot.data(), &v, sizeof(T)); }
  template <class T> T shown(int thread) const {
    T v;
    std::memcpy(&v, runner_->at(thread).slot.data(), sizeof(T));
    return v;
  }

  runner* runner_;
  int thread_, block_, blocks_;
};

/// Runs `body(team)` for `blocks` blocks of `threads` threads, as a CUDA launch would.
///
/// Execution   On the calling thread, blocks one after another; the threads of a block go on in an order drawn from
///             `seed`, and shared memory starts with random bytes. A correct kernel gives the same result for all seeds.
/// Errors      precondition_error for a barrier that not all threads reach ("barrier divergence: 7 of 32 threads at
///             sync, 25 exited"), for a stack overflow, for a block that is empty, larger than 1024 threads or not whole
///             warps. What `body` throws is rethrown.
/// Cost        About 20 ns per thread and barrier; 64 KiB of stack per thread of one block.
template <class Switch = sqs::detail::default_switch, class Body>
void launch(int blocks, int threads, Body&& body, std::uint64_t seed = 0) {
  expects(threads > 0 && threads <= 1024 && threads % warp_size == 0, "sqs::emulator::launch: a block of ", threads,
          " threads; give a multiple of ", warp_size, " up to 1024");
  expects(blocks >= 0, "sqs::emulator::launch: ", blocks, " blocks; give 0 or more");
  detail::block_runner<Switch> runner(threads, seed);
  for (int block = 0; block < blocks; ++block) {
    auto thread_body = [&](int thread) {
      emulated_team<Switch> t(runner, thread, block, blocks);
      body(t);
    };
    runner.run(block, thread_body);
  }
}

static_assert(copying_team<emulated_team<>>);

} // namespace sqs::emulator
