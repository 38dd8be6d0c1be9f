// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The one seam to dense matrix products: pointers and strides. Eigen stands behind it and nowhere else.
///
/// With SQS_USE_INSTANCES the kernels are taken from the compiled target `sqs::instances` (6.2 s -> 1.9 s per unit);
/// without, they are compiled here.

#include <sqs/exec/parallel.hpp>

#if !defined(SQS_USE_INSTANCES)
#include <sqs/exec/detail/gemm_eigen.hpp>
#endif

namespace sqs {

namespace detail {
/// C[m,n] = (or +=) op(A) op(B) on the calling thread; row-major with leading dimensions.
template <class T> void gemm_block(bool transpose_a, bool transpose_b, idx m, idx n, idx k, const T* a, idx lda,
                                   const T* b, idx ldb, T* c, idx ldc, bool accumulate);
#if defined(SQS_USE_INSTANCES)
extern template void gemm_block<float>(bool, bool, idx, idx, idx, const float*, idx, const float*, idx, float*, idx,
                                       bool);
extern template void gemm_block<double>(bool, bool, idx, idx, idx, const double*, idx, const double*, idx, double*, idx,
                                        bool);
#endif

inline constexpr idx gemm_rows = 128;   ///< rows of C per task
inline constexpr idx gemm_depth = 4096; ///< depth per task when the depth is what is long
} // namespace detail

/// C[m,n] = op(A) op(B), row-major; op(A) is [m,k], op(B) is [k,n]; `lda`, `ldb`, `ldc` are the row strides as stored.
/// With `accumulate`, added to C.
///
/// Execution   Rows of C in tasks of 128; a long depth (m small, as for weight gradients) in slices of 4096 whose
///             results are added in order. Both depend on the sizes alone: bitwise equal for any thread count.
template <class T> void gemm(cpu& e, bool transpose_a, bool transpose_b, idx m, idx n, idx k, const T* a, idx lda,
                             const T* b, idx ldb, T* c, idx ldc, bool accumulate = false) {
  if (m == 0 || n == 0) { return; }
  const idx slices = (k + detail::gemm_depth - 1) / detail::gemm_depth;
  if (slices > 1 && m <= 4 * detail::gemm_rows) {
    const block_handle partial{e.memory().allocate(static_cast<std::size_t>(slices * m * n) * sizeof(T))};
    T* const p = static_cast<T*>(partial.data());
    parallel_for(e, slices, 1, [&](idx s, idx) {
      const idx first = s * detail::gemm_depth, depth = std::min(detail::gemm_depth, k - first);
      detail::gemm_block<T>(transpose_a, transpose_b, m, n, depth, a + (transpose_a ? first * lda : first), lda,
                            b + (transpose_b ? first : first * ldb), ldb, p + s * m * n, n, false);
    });
    parallel_for(e, m, 16, [&](idx begin, idx end) {
      for (idx i = begin; i < end; ++i) {
        for (idx j = 0; j < n; ++j) {
          T sum = accumulate ? c[i * ldc + j] : T(0);
          for (idx s = 0; s < slices; ++s) { sum += p[(s * m + i) * n + j]; }
          c[i * ldc + j] = sum;
        }
      }
    });
    return;
  }
  parallel_for(e, m, detail::gemm_rows, [&](idx begin, idx end) {
    detail::gemm_block<T>(transpose_a, transpose_b, end - begin, n, k, a + (transpose_a ? begin : begin * lda), lda, b,
                          ldb, c + begin * ldc, ldc, accumulate);
  });
}

} // namespace sqs
