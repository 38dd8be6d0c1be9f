// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Switching between stacks on one thread of the processor: what the emulator runs CUDA threads on.

#include <cstddef>
#include <cstdint>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define SQS_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SQS_FIBER_ASAN 1
#endif
#endif
#if defined(SQS_FIBER_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace sqs::detail {

/// Tells the address sanitizer that the stack changes; without it, it takes fibers for stack overflows.
struct sanitizer_stack {
#if defined(SQS_FIBER_ASAN)
  void* fake = nullptr;
  const void* bottom = nullptr; ///< of the stack that this one was entered from
  std::size_t size = 0;
  /// Call on the old stack just before switching; `last` when it is never returned to.
  void leave(const void* to, std::size_t to_size, bool last) {
    __sanitizer_start_switch_fiber(last ? nullptr : &fake, to, to_size);
  }
  /// Call on the stack just entered.
  void enter() { __sanitizer_finish_switch_fiber(fake, &bottom, &size); }
#else
  const void* bottom = nullptr;
  std::size_t size = 0;
  void leave(const void*, std::size_t, bool) {}
  void enter() {}
#endif
};

/// Switching by the C library, for any processor. About 200 ns: it also saves the signal mask.
struct ucontext_switch {
  ucontext_t saved{};

  /// Makes this the state of a stack that will start in `entry` (which never returns).
  void prepare(std::byte* stack, std::size_t bytes, void (*entry)()) {
    getcontext(&saved);
    saved.uc_stack.ss_sp = stack;
    saved.uc_stack.ss_size = bytes;
    saved.uc_link = nullptr;
    makecontext(&saved, entry, 0);
  }
  void switch_to(ucontext_switch& to) { swapcontext(&saved, &to.saved); }
};

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
/// Saves the callee-saved registers and the stack pointer in `*from`, takes them from `to` (System V calling
/// convention). Naked: the compiler adds no instruction, so what returns is the function that called on the other stack.
__attribute__((naked, noinline)) inline void switch_stack_x86_64([[maybe_unused]] void** from,
                                                                 [[maybe_unused]] void* to) {
  __asm__("pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
          "movq %rsp, (%rdi)\n\tmovq %rsi, %rsp\n\t"
          "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbx\n\tpopq %rbp\n\tret\n\t");
}

/// Switching by twelve instructions: about 20 ns. Floating-point modes are not saved; kernels do not change them.
struct asm_switch {
  void* stack_pointer = nullptr;

  void prepare(std::byte* stack, std::size_t bytes, void (*entry)()) {
    const auto end = (reinterpret_cast<std::uintptr_t>(stack) + bytes) & ~std::uintptr_t{15};
    // What switch_stack pops: six registers, then `entry` as its return address. The word above it stands for the
    // return address of `entry`, and puts the stack where the convention wants it at a function's first instruction.
    auto* const words = reinterpret_cast<std::uintptr_t*>(end) - 8;
    for (int i = 0; i < 8; ++i) { words[i] = 0; }
    words[6] = reinterpret_cast<std::uintptr_t>(entry);
    stack_pointer = words;
  }
  void switch_to(asm_switch& to) { switch_stack_x86_64(&stack_pointer, to.stack_pointer); }
};
using default_switch = asm_switch;
#else
using default_switch = ucontext_switch;
#endif

} // namespace sqs::detail
