// SPDX-License-Identifier: Apache-2.0
#pragma once
// Teams with faults, to see that kernels whose copies run beside them would be caught without a wait or a barrier.

#include <sqs/exec/emulated_gpu.hpp>

namespace sqs::test {

/// A team that leaves something out: the n-th barrier, or all waits for copies.
enum class fault { none, no_barrier, late_copies, no_commit, rows_that_are_not_there };
template <class Team> struct hasty_team {
  Team& good;
  fault what;
  int nth, barriers = 0;

  int thread() const { return good.thread(); }
  int size() const { return good.size(); }
  int block() const { return good.block(); }
  int blocks() const { return good.blocks(); }
  void sync() {
    if (what != fault::no_barrier || barriers++ != nth) { good.sync(); }
  }
  void sync_warp() { good.sync_warp(); }
  bool sync_any(bool p) { return good.sync_any(p); }
  unsigned ballot(bool p) { return good.ballot(p); }
  template <class T> T shfl(T v, int lane) { return good.shfl(v, lane); }
  template <class T> T shfl_up(T v, int n) { return good.shfl_up(v, n); }
  template <class T> T shfl_down(T v, int n) { return good.shfl_down(v, n); }
  template <class T> T shfl_xor(T v, int n) { return good.shfl_xor(v, n); }
  template <class T> void add(T* p, T v) { good.add(p, v); }
  template <class Tag, class T, int N> T* shared() { return good.template shared<Tag, T, N>(); }
  void copy_async(void* to, const void* from, bool there) {
    good.copy_async(to, from, there || what == fault::rows_that_are_not_there);
  }
  void commit_copies() {
    if (what != fault::no_commit) { good.commit_copies(); }
  }
  template <int N> void wait_copies() {
    if (what == fault::late_copies) {
      good.template wait_copies<N + 1>();
    } else {
      good.template wait_copies<N>();
    }
  }
};
/// Launches a kernel on such teams. Threads that then meet at different barriers raise precondition_error.
template <class Kernel>
void launch_hastily(emulator::gpu& e, const Kernel& kernel, idx blocks, int threads, fault what, int nth) {
  emulator::launch(
      static_cast<int>(blocks), threads,
      [&](auto& t) {
        hasty_team<std::remove_cvref_t<decltype(t)>> bad{t, what, nth};
        kernel(bad);
      },
      ++e.seed);
}

} // namespace sqs::test
