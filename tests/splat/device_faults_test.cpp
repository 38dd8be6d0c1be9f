// SPDX-License-Identifier: Apache-2.0
// Faults planted into the device's kernels: each must show in the comparison with the CPU, or the comparison proves
// nothing. A fault is put between the kernel and its team, so that the kernels themselves are the real ones.

#include "device_parity.hpp"

#include <sqs/exec/emulated_gpu.hpp>

#include <cstring>

namespace device_faults_test {

using namespace sqs;
using namespace sqs::test;

enum class fault { none, no_barrier, wrong_lane, next_tile, wrong_vote };

/// A team with a fault. The n-th call of what is faulty, counted by each thread, goes wrong.
template <class Team> struct faulty_team {
  Team& good;
  fault what;
  int nth, calls = 0;

  bool now(fault f) { return what == f && calls++ == nth; }
  int thread() const { return good.thread(); }
  int size() const { return good.size(); }
  int block() const { return what == fault::next_tile ? std::min(good.block() + 1, good.blocks() - 1) : good.block(); }
  int blocks() const { return good.blocks(); }
  void sync() {
    if (!now(fault::no_barrier)) { good.sync(); }
  }
  void sync_warp() { good.sync_warp(); }
  bool sync_any(bool p) { return good.sync_any(p); }
  unsigned ballot(bool p) {
    const unsigned bits = good.ballot(p);
    return now(fault::wrong_vote) ? bits & (bits - 1) : bits;
  }
  template <class T> T shfl(T v, int lane) { return good.shfl(v, now(fault::wrong_lane) ? lane ^ 1 : lane); }
  template <class T> T shfl_up(T v, int n) { return good.shfl_up(v, now(fault::wrong_lane) ? n ^ 1 : n); }
  template <class T> T shfl_down(T v, int n) { return good.shfl_down(v, now(fault::wrong_lane) ? n ^ 1 : n); }
  template <class T> T shfl_xor(T v, int n) { return good.shfl_xor(v, now(fault::wrong_lane) ? n / 2 : n); }
  template <class T> void add(T* p, T v) { good.add(p, v); }
  template <class Tag, class T, int N> T* shared() { return good.template shared<Tag, T, N>(); }
};

/// A device with a fault in one of its kernels.
struct faulty_gpu : emulator::gpu {
  const char* kernel = "";
  fault what = fault::none;
  int nth = 0;
};
template <class Kernel> void launch(faulty_gpu& e, idx blocks, int threads, const Kernel& kernel) {
  if (std::strcmp(Kernel::name, e.kernel) != 0) {
    return launch(static_cast<emulator::gpu&>(e), blocks, threads, kernel);
  }
  emulator::launch(
      static_cast<int>(blocks), threads,
      [&](auto& t) {
        faulty_team<std::remove_cvref_t<decltype(t)>> bad{t, e.what, e.nth};
        kernel(bad);
      },
      ++e.seed);
}

constexpr splat::raster_config plain{};

constexpr const char* by_gaussian = "sqs::splat::blend_backward (by Gaussian)";

/// Whether the outputs and gradients differ from the CPU's, or the emulator complains.
bool caught(const char* kernel, fault what, int nth = 0) {
  const auto in = scenes::random({.gaussians = 300, .height = 16, .width = 32, .most_scale = 0.3, .seed = 31});
  static const auto wanted = render_on_cpu<plain>(in, {});
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    faulty_gpu e{{.seed = seed}, kernel, what, nth};
    splat::raster_options<double, device> options;
    options.capacity = 4096;
    if (kernel == by_gaussian) { options.order = splat::backward_order::by_gaussian; }
    try {
      const auto got = render_on<plain>(e, in, options);
      const double image = std::max(worst_of(got.image, wanted.image), worst_of(got.depth, wanted.depth));
      const double gradient =
          std::max({relative_norm(got.means, wanted.means), relative_norm(got.colours, wanted.colours),
                    relative_norm(got.background, wanted.background), relative_norm(got.poses, wanted.poses)});
      if (!(image <= 1e-12 && gradient <= 1e-11)) { return true; }
    } catch (const precondition_error&) { return true; }
  }
  return false;
}

TEST(device_faults, are_none_without_one) {
  EXPECT_FALSE(caught("sqs::splat::blend", fault::none));
  EXPECT_FALSE(caught(by_gaussian, fault::none));
  EXPECT_FALSE(caught("no such kernel", fault::next_tile));
}
TEST(device_faults, a_missing_barrier_shows) {
  EXPECT_TRUE(caught("sqs::splat::blend", fault::no_barrier));
  EXPECT_TRUE(caught("sqs::splat::blend", fault::no_barrier, 1));
  // The first twelve barriers of the way back belong to the three sums of the background; every fourth is one too many
  // there. Then come two for each batch.
  for (const int nth : {0, 1, 3, 12, 13, 14, 15}) {
    EXPECT_TRUE(caught("sqs::splat::blend_backward", fault::no_barrier, nth)) << nth;
  }
  // The same here: records, then notes.
  for (const int nth : {12, 13, 14, 15}) { EXPECT_TRUE(caught(by_gaussian, fault::no_barrier, nth)) << nth; }
  EXPECT_TRUE(caught("sqs::splat::project_backward", fault::no_barrier));
}
TEST(device_faults, a_swapped_lane_shows) {
  // The 17th is whose entry it is. Most others would make the kernel write outside its arrays.
  EXPECT_TRUE(caught("sqs::splat::bin (entries)", fault::wrong_lane, 16));
  EXPECT_TRUE(caught("sqs::splat::blend_backward", fault::wrong_lane, 40));
  EXPECT_TRUE(caught(by_gaussian, fault::wrong_lane, 150)); // T or what lies behind, from one lane to the next
  EXPECT_TRUE(caught(by_gaussian, fault::wrong_lane, 151));
  EXPECT_TRUE(caught("sqs::splat::project_backward", fault::wrong_lane));
}
TEST(device_faults, a_tile_or_block_off_by_one_shows) {
  for (const char* kernel :
       {"sqs::splat::blend", "sqs::splat::blend_backward", by_gaussian, "sqs::splat (sums over a view)"}) {
    EXPECT_TRUE(caught(kernel, fault::next_tile)) << kernel;
  }
}
TEST(device_faults, a_lost_vote_shows) {
  EXPECT_TRUE(caught("sqs::splat::blend", fault::wrong_vote, 1));
  EXPECT_TRUE(caught("sqs::splat::blend_backward", fault::wrong_vote, 1));
  EXPECT_TRUE(caught(by_gaussian, fault::wrong_vote, 1));
}

} // namespace device_faults_test
