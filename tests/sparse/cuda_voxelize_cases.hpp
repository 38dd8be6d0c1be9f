// SPDX-License-Identifier: Apache-2.0
#pragma once
// Voxels of points on a device against those of the host: written once, run on the emulated device by
// cuda_voxelize_test.cpp and on a real one by cuda_sparse_test.cu.

#include "cuda_plan_cases.hpp"

#include <sqs/sparse/cuda/voxelize.hpp>

#include <cstring>

namespace sqs::test {

/// Points of three batch items in and around the box; some on faces of voxels, some no numbers, some columns more.
template <class T> tensor<T, 2> cloud_around(const sparse::voxel_grid<T, 3>& box, idx n, std::uint64_t seed) {
  auto p = make_tensor<T, 2>({n, 5});
  const auto s = random_stream::of(seed);
  for (idx i = 0; i < n; ++i) {
    for (idx a = 0; a < 5; ++a) {
      const auto axis = static_cast<std::size_t>(std::min<idx>(a, 2));
      const double extent = static_cast<double>(box.upper[axis] - box.lower[axis]);
      p(i, a) = static_cast<T>((s.uniform(5 * i + a) * 1.1 - 0.05) * extent) + box.lower[axis];
      if (i % 5 == 0) {
        p(i, a) = box.lower[axis] + std::round((p(i, a) - box.lower[axis]) / box.size[axis]) * box.size[axis];
      }
      if (i % 7 == 0) { p(i, a) = p(i / 2, a); } // the same place again
    }
  }
  if (n > 4) { p(3, 1) = std::numeric_limits<T>::quiet_NaN(), p(4, 0) = std::numeric_limits<T>::infinity(); }
  return p;
}

template <class T, class E> void expect_same_voxels(E& e, idx n, std::uint64_t seed) {
  cpu host{.threads = 1};
  const sparse::voxel_grid<T, 3> box{{T(-2), T(1), T(0)}, {T(3), T(4), T(2)}, {T(0.5), T(0.3), T(0.4)}};
  const auto points = cloud_around<T>(box, n, seed);
  auto batch = make_tensor<std::int32_t, 1>({n});
  for (idx i = 0; i < n; ++i) { batch(i) = static_cast<std::int32_t>(i % 3); }
  const auto v = sparse::voxelize(host, points, box, batch, 3);
  const auto d = sparse::voxelize(e, to_device(e, points), box, to_device(e, batch), 3);
  expect_sites(e, d.at, host, v.at);
  const idx rows = v.at.rows;
  const auto begin = to_host(e, d.begin), point = to_host(e, d.point), row = to_host(e, d.row_of_point);
  EXPECT_TRUE(std::equal(v.begin.begin(), v.begin.end(), begin.begin()));
  EXPECT_THAT(begin.rows(rows, n + 1).span(), testing::Each(v.begin(rows)));
  EXPECT_TRUE(std::equal(v.point.begin(), v.point.end(), point.begin()));
  EXPECT_TRUE(std::equal(v.row_of_point.begin(), v.row_of_point.end(), row.begin()));
  auto x = persistent_copy<T>(random<2>({n, 4}, seed));
  for (idx i = 0; i < x.size(); i += 3) { x.data()[i] = T(1); } // ties
  auto dy = persistent_copy<T>(random<2>({rows, 4}, seed + 1)), room = make_tensor<T, 2>({n, 4}, T(99));
  std::copy(dy.begin(), dy.end(), room.begin());
  for (const auto reduction :
       {sparse::point_reduction::mean, sparse::point_reduction::max, sparse::point_reduction::first}) {
    const sparse::voxel_features_op<3> op{v, reduction};
    const sparse::device_voxel_features_op<3> on{d, reduction};
    const auto r = op.forward(host, x);
    const auto q = on.forward(e, to_device(e, x));
    const auto y = to_host(e, q.value), dx = to_host(e, on.backward(e, q.saved, to_device(e, room)));
    const auto expected = op.backward(host, r.saved, dy); // the same operations in the same order: the same bits
    EXPECT_TRUE(std::equal(r.value.begin(), r.value.end(), y.begin())) << static_cast<int>(reduction);
    EXPECT_THAT(y.rows(rows, n).span(), testing::Each(T(0)));
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), dx.begin(), dx.end())) << static_cast<int>(reduction);
  }
}

} // namespace sqs::test
