// SPDX-License-Identifier: Apache-2.0
// The matrix unit: the model's arithmetic against a second reading of its definition and against the processor's fused
// multiply-add; the instructions of the real one against the model, trapped where there is none.
#include "../support/check.hpp"
#include "tile_unit_trap.hpp"

#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tile_unit_test {

using namespace sqs;
using namespace sqs::test;
using sparse::detail::unit_configuration;

std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }
bfloat16 narrow_bits(std::uint64_t bits) { return std::bit_cast<bfloat16>(static_cast<std::uint16_t>(bits)); }

/// One register: what is in it as the kernels see it.
struct matrices {
  std::array<float, 256> c{};
  std::array<bfloat16, 512> a{}, b{};
};
matrices random_matrices(std::uint64_t seed, bool any_bits) {
  matrices m;
  const auto s = random_stream::of(seed);
  const auto draw = [&](idx i) {
    if (!any_bits) { return bfloat16(static_cast<float>(s.uniform(i, -2, 2))); }
    // Exponents below one, so that nothing is infinite, down to denormals.
    return narrow_bits(static_cast<std::uint64_t>(s.uniform(i) * 65536) & 0xbfff);
  };
  for (idx i = 0; i < 512; ++i) {
    m.a[static_cast<std::size_t>(i)] = draw(i);
    m.b[static_cast<std::size_t>(i)] = draw(512 + i);
  }
  for (idx i = 0; i < 256; ++i) { m.c[static_cast<std::size_t>(i)] = draw(1024 + i) * 1.00390625f; }
  return m;
}
template <class Unit> std::array<float, 256> product_on(Unit& unit, const matrices& m) {
  constexpr auto full = unit_configuration::full();
  std::array<float, 256> y{};
  unit.configure(full);
  unit.template load<5>(m.c.data(), 64);
  unit.template load<0>(m.a.data(), 64);
  unit.template load<7>(m.b.data(), 64);
  unit.template multiply_add<5, 0, 7>();
  unit.template store<5>(y.data(), 64);
  return y;
}

TEST(tile_unit_model, adds_even_and_odd_channels_apart_and_in_order) {
  const auto m = random_matrices(1, false);
  modelled_unit unit;
  const auto y = product_on(unit, m);
  double most = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t j = 0; j < 16; ++j) {
      // The definition, once more: two sums, their sum, the accumulator. No number here comes near a denormal.
      float even = 0, odd = 0;
      double exact = m.c[16 * i + j];
      for (std::size_t p = 0; p < 16; ++p) {
        const float a0 = m.a[32 * i + 2 * p], a1 = m.a[32 * i + 2 * p + 1];
        const float b0 = m.b[32 * p + 2 * j], b1 = m.b[32 * p + 2 * j + 1];
        // Exact in double: factors of 8 bits, sums of 24 bits a few exponents apart.
        even = static_cast<float>(static_cast<double>(a0) * b0 + even);
        odd = static_cast<float>(static_cast<double>(a1) * b1 + odd);
        exact += static_cast<double>(a0) * b0 + static_cast<double>(a1) * b1;
      }
      ASSERT_EQ(bits_of(y[16 * i + j]), bits_of(m.c[16 * i + j] + (even + odd))) << i << " " << j;
      most = std::max(most, std::abs(y[16 * i + j] - exact));
    }
  }
  EXPECT_LT(most, 1e-5);
  EXPECT_GT(most, 0) << "sums of float round";
}

TEST(tile_unit_model, denormals_are_zero_both_ways) {
  EXPECT_EQ(flushed_fma(0x1p-127f, 1, 0), 0.0f) << "a factor";
  EXPECT_EQ(flushed_fma(1, 1, 0x1p-127f), 1.0f);
  EXPECT_EQ(flushed_fma(0x1p-100f, 0x1p-27f, 0), 0.0f) << "a result";
  EXPECT_TRUE(std::signbit(flushed_fma(-0x1p-100f, 0x1p-27f, 0))) << "zero keeps the sign";
  EXPECT_EQ(flushed_fma(0x1p-100f, 0x1p-26f, 0), 0x1p-126f) << "the least normal number stays";
  // 2^-126 - 2^-150: with 24 bits a number below the least normal one, though denormal rounding would lift it to 2^-126.
  EXPECT_EQ(flushed_fma(-0x1p-75f, 0x1p-75f, 0x1p-126f), 0.0f);
  // 2^-126 - 2^-151 is a tie that goes up to 2^-126.
  EXPECT_EQ(flushed_fma(-0x1p-75f, 0x1p-76f, 0x1p-126f), 0x1p-126f);
  EXPECT_TRUE(std::isnan(flushed_fma(std::numeric_limits<float>::infinity(), 0, 1)));
}

#if defined(__x86_64__)
float processor_fma(float a, float b, float c) {
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040); // denormals are zero; so are results that would be denormal
  // Written out: compilers do not know that the lines around it change what it does.
  __asm__ volatile("vfmadd231ss %2, %1, %0" : "+x"(c) : "x"(a), "x"(b) : "memory");
  _mm_setcsr(before);
  return c;
}
TEST(tile_unit_model, rounds_as_the_fused_multiply_add_of_the_processor) {
  if (!__builtin_cpu_supports("fma")) { GTEST_SKIP() << "this processor has no fused multiply-add"; }
  const auto s = random_stream::of(3);
  idx flushed = 0;
  for (idx i = 0; i < 200000; ++i) {
    const auto draw = [&](idx k) { return s.uniform(4 * i + k); };
    // Products near the least normal number, and an addend that cancels most of them, or not.
    const auto number = [&](idx k, int exponent, int bits) {
      const double fraction = 1 + std::floor(draw(k) * (1 << bits)) / (1 << bits);
      return static_cast<float>(std::ldexp(draw(k) * 7919 - std::floor(draw(k) * 7919) < 0.5 ? fraction : -fraction,
                                           exponent - static_cast<int>(draw(k + 1) * 28)));
    };
    const float a = number(0, -50, 7), b = number(1, -50, 7), c = number(2, -110, 23);
    const float model = flushed_fma(a, b, c), processor = processor_fma(a, b, c);
    ASSERT_EQ(bits_of(model), bits_of(processor)) << a << " " << b << " " << c;
    flushed += model == 0;
  }
  EXPECT_GT(flushed, 1000);
  for (int e = 60; e < 90; ++e) { // around the one case where the two ways to round differ
    for (const float c : {0x1p-126f, -0x1p-126f, 0x1.000002p-126f, 0x1p-125f}) {
      for (const float sign : {1.0f, -1.0f}) {
        const float a = sign * std::ldexp(1.0f, -e), b = std::ldexp(1.5f, -76);
        ASSERT_EQ(bits_of(flushed_fma(a, b, c)), bits_of(processor_fma(a, b, c))) << e;
      }
    }
  }
}
#endif

TEST(tile_unit_model, refuses_what_the_unit_would_fault_on) {
  modelled_unit unit;
  std::array<float, 256> room{};
  EXPECT_THROW(unit.load<0>(room.data(), 64), unit_fault) << "before a configuration";
  auto c = unit_configuration::full();
  c.reserved[3] = 1;
  EXPECT_THROW(unit.configure(c), unit_fault);
  c = unit_configuration::full();
  c.rows[2] = 17;
  EXPECT_THROW(unit.configure(c), unit_fault);
  c = unit_configuration::full();
  c.rows[1] = 8; // a left factor of 8 rows for sums of 16
  unit.configure(c);
  EXPECT_THROW((unit.multiply_add<0, 1, 2>()), unit_fault);
  EXPECT_THROW((unit.multiply_add<0, 0, 2>()), unit_fault);
  unit.configure({});
  EXPECT_THROW(unit.store<0>(room.data(), 64), unit_fault) << "after the release";
}

TEST(tile_unit_model, smaller_registers_load_and_store_their_shape) {
  auto c = unit_configuration::full();
  c.rows[0] = 3, c.row_bytes[0] = 8;
  modelled_unit unit;
  unit.configure(c);
  std::array<std::uint8_t, 256> from{}, to{};
  for (std::size_t i = 0; i < from.size(); ++i) { from[i] = static_cast<std::uint8_t>(i + 1); }
  unit.load<0>(from.data(), 20);
  unit.store<0>(to.data(), 10);
  for (std::size_t i = 0; i < to.size(); ++i) {
    const bool inside = i < 28 && i % 10 < 8;
    ASSERT_EQ(to[i], inside ? from[i / 10 * 20 + i % 10] : 0) << i;
  }
}

#if defined(SQS_HAVE_AMX_INSTRUCTIONS)

void expect_instructions_of_the_model() {
  for (const bool any_bits : {false, true}) {
    const auto m = random_matrices(5, any_bits);
    sparse::detail::amx_unit unit;
    modelled_unit model;
    const auto y = product_on(unit, m), z = product_on(model, m);
    for (std::size_t i = 0; i < y.size(); ++i) { ASSERT_EQ(bits_of(y[i]), bits_of(z[i])) << any_bits << " " << i; }
  }
  // Strides of their own, backwards too.
  const auto m = random_matrices(6, false);
  std::array<float, 16 * 20> wide{}, expected{};
  sparse::detail::amx_unit unit;
  constexpr auto full = unit_configuration::full();
  unit.configure(full);
  unit.load<3>(m.c.data() + 15 * 16, -64);
  unit.store<3>(wide.data(), 80);
  for (std::size_t i = 0; i < 256; ++i) { expected[i / 16 * 20 + i % 16] = m.c[(15 - i / 16) * 16 + i % 16]; }
  EXPECT_EQ(wide, expected);
}

TEST(amx_unit, computes_what_the_model_does) {
  if (!sparse::detail::has_amx_unit()) { GTEST_SKIP() << "no matrix unit here: see the next test"; }
  expect_instructions_of_the_model();
}
TEST(amx_unit, its_instructions_are_the_ones_meant) {
  if (sparse::detail::has_amx_unit()) { GTEST_SKIP() << "a matrix unit is here: see the test before"; }
  const trapped_instructions trap;
  expect_instructions_of_the_model();
  EXPECT_EQ(trap.count(), 2 * (6 + 1) + 4);
}

TEST(amx_unit, is_found_where_the_system_names_it) {
  // A second opinion: the flags Linux lists. It lists none where the registers are not saved.
  std::string flags;
  if (std::FILE* const f = std::fopen("/proc/cpuinfo", "r"); f != nullptr) {
    for (int c = std::fgetc(f); c != EOF; c = std::fgetc(f)) { flags += static_cast<char>(c); }
    std::fclose(f);
  }
  if (flags.empty()) { GTEST_SKIP() << "no /proc/cpuinfo"; }
  if (flags.find(" amx_tile") == std::string::npos || flags.find(" amx_bf16") == std::string::npos) {
    EXPECT_FALSE(sparse::detail::has_amx_unit());
  }
  EXPECT_EQ(sparse::detail::has_amx_unit(), sparse::detail::find_amx_unit()) << "asking twice is no error";
}

#endif

} // namespace tile_unit_test
