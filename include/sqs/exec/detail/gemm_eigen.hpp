// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Eigen behind the GEMM seam of exec/gemm.hpp.

#include <sqs/core/config.hpp>

// Packing buffers go to the stack, so that a product allocates nothing. The blocks handed over are small (128 rows).
#if !defined(EIGEN_STACK_ALLOCATION_LIMIT)
#define EIGEN_STACK_ALLOCATION_LIMIT (4 << 20)
#endif
// Threads are the executor's business.
#if !defined(EIGEN_DONT_PARALLELIZE)
#define EIGEN_DONT_PARALLELIZE
#endif
// The alignment of fixed-size types must not depend on instruction-set flags: mixed flags would be an ABI break.
#if !defined(EIGEN_MAX_STATIC_ALIGN_BYTES)
#define EIGEN_MAX_STATIC_ALIGN_BYTES 16
#endif
#include <Eigen/Core>

namespace sqs::detail {

template <class T> void gemm_block(bool transpose_a, bool transpose_b, idx m, idx n, idx k, const T* a, idx lda,
                                   const T* b, idx ldb, T* c, idx ldc, bool accumulate) {
  using matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using stride = Eigen::OuterStride<>;
  using view = Eigen::Map<const matrix, Eigen::Unaligned, stride>;
  const view av(a, transpose_a ? k : m, transpose_a ? m : k, stride(lda));
  const view bv(b, transpose_b ? n : k, transpose_b ? k : n, stride(ldb));
  Eigen::Map<matrix, Eigen::Unaligned, stride> cv(c, m, n, stride(ldc));
  if (!accumulate) { cv.setZero(); }
  if (k == 0) { return; }
  if (transpose_a) {
    if (transpose_b) {
      cv.noalias() += av.transpose() * bv.transpose();
    } else {
      cv.noalias() += av.transpose() * bv;
    }
  } else if (transpose_b) {
    cv.noalias() += av * bv.transpose();
  } else {
    cv.noalias() += av * bv;
  }
}

} // namespace sqs::detail
