// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// The matrix unit of x86 processors (AMX): registers of 16 rows of 64 bytes, and an instruction that adds the product of
/// two of them, of bfloat16 numbers, to a third of floats.
///
/// Kernels take the unit as a template argument. `amx_unit` is the real one; nobody may touch it where
/// `has_amx_unit()` is false. Its instructions are written out, so no compiler flag is needed and one program runs
/// everywhere.
/// Source      Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and the pages of
///             LDTILECFG, TILELOADD, TILESTORED, TDPBF16PS

#include <sqs/core/bfloat16.hpp>
#include <sqs/core/config.hpp>

#include <cstdint>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#define SQS_HAVE_AMX_INSTRUCTIONS 1
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace sqs::sparse::detail {

inline constexpr idx register_rows = 16;
inline constexpr idx register_bytes = 64; ///< of a row
/// Floats in a row of a sum, and bfloat16 numbers in one of a left factor.
inline constexpr idx register_columns = register_bytes / 4, register_depth = register_bytes / 2;
inline constexpr int unit_registers = 8;

/// The bytes a unit is configured with.
struct alignas(64) unit_configuration {
  std::uint8_t palette = 0, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {}; ///< of each register
  std::uint8_t rows[16] = {};

  /// All registers as large as they get.
  static constexpr unit_configuration full() {
    unit_configuration c;
    c.palette = 1;
    for (int i = 0; i < unit_registers; ++i) {
      c.row_bytes[i] = static_cast<std::uint16_t>(register_bytes);
      c.rows[i] = static_cast<std::uint8_t>(register_rows);
    }
    return c;
  }
};
static_assert(sizeof(unit_configuration) == 64);

/// What kernels ask of a unit. Registers are numbered by template arguments, strides are in bytes. After `configure`, it
/// belongs to the thread until it is destroyed.
///
/// `multiply_add<C, A, B>`: C[i][j] += the sum over p of A[i][2p] B[p][2j] + A[i][2p + 1] B[p][2j + 1], where A and B hold
/// bfloat16 numbers and C floats: B has two rows of the right factor in one of its own.
template <class U>
concept matrix_unit = requires(U u, const void* from, void* to, idx stride, const unit_configuration& c) {
  u.configure(c);
  u.template load<0>(from, stride);
  u.template store<0>(to, stride);
  u.template multiply_add<0, 1, 2>();
};

#if defined(SQS_HAVE_AMX_INSTRUCTIONS)

class amx_unit {
public:
  amx_unit() = default;
  amx_unit(const amx_unit&) = delete;
  amx_unit& operator=(const amx_unit&) = delete;
  ~amx_unit() { __asm__ volatile("tilerelease" ::: "memory"); }

  SQS_INLINE void configure(const unit_configuration& c) { __asm__ volatile("ldtilecfg %0" ::"m"(c) : "memory"); }
  template <int R> SQS_INLINE void load(const void* from, idx stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "n"(R) : "memory");
  }
  template <int R> SQS_INLINE void store(void* to, idx stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "n"(R) : "memory");
  }
  template <int C, int A, int B> SQS_INLINE void multiply_add() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"n"(C), "n"(A), "n"(B));
  }
};
/// Asks the processor, then the system: it keeps the registers away from programs that have not asked for them.
inline bool find_amx_unit() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned os_saves_registers = 1u << 27, tiles = 1u << 24, bfloat16_products = 1u << 22;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & os_saves_registers) == 0) { return false; }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & tiles) == 0 || (d & bfloat16_products) == 0) {
    return false;
  }
  // Palette 1: at least 8 registers of 16 rows of 64 bytes.
  if (__get_cpuid_count(0x1d, 1, &a, &b, &c, &d) == 0 || b >> 16 < static_cast<unsigned>(unit_registers) ||
      (b & 0xffff) < static_cast<unsigned>(register_bytes) || (c & 0xffff) < static_cast<unsigned>(register_rows)) {
    return false;
  }
  unsigned saved = 0;
  __asm__ volatile("xgetbv" : "=a"(saved) : "c"(0) : "edx");
  constexpr unsigned configuration_and_data = 3u << 17;
  if ((saved & configuration_and_data) != configuration_and_data) { return false; }
  constexpr long request_permission = 0x1023, tile_data = 18; // of arch_prctl
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

/// True if this processor and this system have the unit. The first call asks the system for the whole process.
inline bool has_amx_unit() {
  static const bool found = find_amx_unit();
  return found;
}

#else

/// Stands in where there are no such instructions; never used.
struct amx_unit {
  void configure(const unit_configuration&) {}
  template <int R> void load(const void*, idx) {}
  template <int R> void store(void*, idx) {}
  template <int C, int A, int B> void multiply_add() {}
};
inline bool has_amx_unit() { return false; }

#endif

static_assert(matrix_unit<amx_unit>);

} // namespace sqs::sparse::detail
