// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The macros and the index type every other header uses. Nothing else in the library looks at the compiler.

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define SQS_HD __host__ __device__
#define SQS_DEVICE __device__
#else
/// Marks a function that also runs in CUDA kernels; empty for a host compiler.
#define SQS_HD
/// Marks a function that runs only in CUDA kernels; empty for a host compiler.
#define SQS_DEVICE
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SQS_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SQS_INSTRUMENTED 1
#endif
#endif

/// Before a loop of few, constant steps that keeps its numbers in registers: written out, whatever the optimiser thinks.
#if defined(__CUDA_ARCH__)
#define SQS_UNROLL _Pragma("unroll")
#elif defined(__CUDACC__) || defined(SQS_INSTRUMENTED)
#define SQS_UNROLL
#elif defined(__clang__)
#define SQS_UNROLL _Pragma("unroll")
#else
#define SQS_UNROLL _Pragma("GCC unroll 32")
#endif
#if defined(SQS_INSTRUMENTED) // with a check at every access these only make huge functions, which compile for minutes
#define SQS_INLINE inline
#define SQS_FLATTEN
#else
/// For functions whose arguments must stay in registers: a call would send them through memory.
#define SQS_INLINE inline __attribute__((always_inline))
/// For functions that keep many registers busy: everything they call becomes part of them.
#define SQS_FLATTEN __attribute__((flatten))
#endif
/// For functions that other files call compiled: GCC must not put a copy for constant arguments in their place.
#if defined(__clang__)
#define SQS_NOINLINE __attribute__((noinline))
#else
#define SQS_NOINLINE __attribute__((noinline, noclone))
#endif

#if defined(NDEBUG)
#define SQS_ASSERT(condition) ((void)0)
#else
/// A check of the library's own logic inside inner loops; debug builds only. Misuse by callers is checked by `expects`.
#define SQS_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#endif

namespace sqs {

/// Every extent, stride and count. Signed, 64 bits: differences are safe, large scenes fit.
using idx = std::int64_t;

} // namespace sqs
