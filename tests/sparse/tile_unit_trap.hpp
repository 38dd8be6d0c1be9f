// SPDX-License-Identifier: Apache-2.0
#pragma once
// Runs the instructions of the matrix unit on processors without one: each is an illegal instruction there, and the
// handler of that signal takes it apart and lets the model do it. So the bytes the compiler made of `amx_unit`, their
// register numbers, addresses and order, are tested everywhere.

#include "tile_unit_model.hpp"

#if defined(SQS_HAVE_AMX_INSTRUCTIONS)
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <ucontext.h>

namespace sqs::test {

/// While one of these lives, the instructions are run by the model; each thread has a unit of its own.
class trapped_instructions {
public:
  trapped_instructions() {
    struct sigaction action {};
    action.sa_sigaction = &run;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &action, &before_);
    count_ = 0;
  }
  trapped_instructions(const trapped_instructions&) = delete;
  trapped_instructions& operator=(const trapped_instructions&) = delete;
  ~trapped_instructions() { sigaction(SIGILL, &before_, nullptr); }
  long count() const { return count_; }

private:
  /// An operand in memory: its address; `length` grows by the bytes that say where it is.
  static char* address(const unsigned char* modrm, bool high_base, bool high_index, const greg_t* registers,
                       int& length) {
    static constexpr int names[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    const int mode = modrm[0] >> 6;
    int base = modrm[0] & 7;
    long long at = 0;
    ++length;
    const unsigned char* displacement = modrm + 1;
    if (base == 4) {
      const int index = (modrm[1] >> 3 & 7) + (high_index ? 8 : 0);
      if (index != 4) { at += registers[names[index]] << (modrm[1] >> 6); }
      base = modrm[1] & 7;
      ++length, ++displacement;
    }
    const int bytes = mode == 1 ? 1 : (mode == 2 || base == 5 ? 4 : 0);
    std::int32_t wide = 0;
    std::memcpy(&wide, displacement, static_cast<std::size_t>(bytes));
    at += bytes == 1 ? static_cast<signed char>(wide) : wide;
    length += bytes;
    if (mode == 0 && base == 5) {
      at += (modrm[0] & 7) == 5 ? registers[REG_RIP] + 4 + length : 0; // of the next instruction; or no base at all
    } else {
      at += registers[names[base + (high_base ? 8 : 0)]];
    }
    return reinterpret_cast<char*>(at);
  }
  static void run(int, siginfo_t*, void* context) {
    greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    const auto* const code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
    // Three bytes of prefix (C4, map 2, no W, 128 bits), the operation, then the operands.
    if (code[0] != 0xc4 || (code[1] & 31) != 2 || (code[2] & 0x84) != 0) { give_up("an instruction of another kind"); }
    const int prefix = code[2] & 3, third = ~(code[2] >> 3) & 15, reg = code[4] >> 3 & 7, rm = code[4] & 7;
    const bool in_memory = code[4] < 0xc0, high_index = (code[1] & 0x40) == 0, high_base = (code[1] & 0x20) == 0;
    const auto index = [&] { // the stride; one of the operands of loads and stores, never scaled here
      static constexpr int names[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
      if (rm != 4 || code[5] >> 6 != 0) { give_up("a load or store without a stride"); }
      return static_cast<idx>(registers[names[(code[5] >> 3 & 7) + (high_index ? 8 : 0)]]);
    };
    int length = 0;
    try {
      if (code[3] == 0x49 && prefix == 0 && in_memory) {
        sparse::detail::unit_configuration c;
        std::memcpy(&c, address(code + 4, high_base, high_index, registers, length), sizeof c);
        unit_.configure(c);
      } else if (code[3] == 0x49 && prefix == 0 && code[4] == 0xc0) {
        unit_.configure({}), length = 1;
      } else if (code[3] == 0x4b && prefix == 3 && in_memory) {
        const idx stride = index();
        unit_.load_register(reg, address(code + 4, high_base, high_index, registers, length) - stride, stride);
      } else if (code[3] == 0x4b && prefix == 2 && in_memory) {
        const idx stride = index();
        unit_.store_register(reg, address(code + 4, high_base, high_index, registers, length) - stride, stride);
      } else if (code[3] == 0x5c && prefix == 2 && !in_memory) {
        unit_.multiply_add_registers(reg, rm, third), length = 1;
      } else {
        give_up("an operation the kernels do not use");
      }
    } catch (const unit_fault& f) { give_up(f.what()); }
    registers[REG_RIP] += 4 + length;
    ++count_;
  }
  [[noreturn]] static void give_up(const char* why) {
    std::fprintf(stderr, "illegal instruction: %s\n", why);
    std::abort();
  }

  static inline constinit thread_local modelled_unit unit_{};
  static inline std::atomic<long> count_{0};
  struct sigaction before_ {};
};

} // namespace sqs::test
#endif
