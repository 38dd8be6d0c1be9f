# SPDX-License-Identifier: Apache-2.0
# Flags of the project's own programs. Nothing here reaches a consumer.

# SQS_ARCH is used only where the processor that builds can also run it; elsewhere the compiler's default holds.
set(sqs_arch_flags "")
if(SQS_NATIVE)
  # GCC 12's AVX-512 intrinsics warn about themselves (uninitialized values) under this flag.
  set(sqs_arch_flags -march=native $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-uninitialized>)
elseif(SQS_ARCH AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND NOT CMAKE_CROSSCOMPILING)
  include(CheckCXXSourceRuns)
  check_cxx_source_runs(
    "int main() { return __builtin_cpu_supports(\"avx2\") && __builtin_cpu_supports(\"fma\") && __builtin_cpu_supports(\"bmi2\") ? 0 : 1; }"
    SQS_PROCESSOR_HAS_V3)
  if(SQS_PROCESSOR_HAS_V3)
    set(sqs_arch_flags -march=${SQS_ARCH})
  endif()
endif()

function(sqs_own_target target)
  set(cxx "$<COMPILE_LANGUAGE:CXX>")
  target_compile_options(${target} PRIVATE
    "$<${cxx}:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion>"
    # GCC 12 warns about its own std::string concatenation (PR 105651).
    "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>"
    # Nobody reads errno or traps after arithmetic, and both keep loops from being vectorised. No contraction: a * b + c
    # rounds the same in every build, so results do not depend on the instruction set. Never -ffast-math.
    "$<${cxx}:-fno-math-errno;-fno-trapping-math;-ffp-contract=off>"
    "$<${cxx}:${sqs_arch_flags}>")
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE "$<${cxx}:-Wno-restrict>") # GCC 12 reports "text" + std::string (its bug 105329)
  endif()
  if(SQS_WERROR)
    target_compile_options(${target} PRIVATE "$<${cxx}:-Werror>")
  endif()
  if(SQS_SANITIZE)
    target_compile_options(${target} PRIVATE
      "$<${cxx}:-fsanitize=${SQS_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
    target_link_options(${target} PRIVATE -fsanitize=${SQS_SANITIZE})
    if(SQS_SANITIZE MATCHES address AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      # GCC 12 reports reads of std::function's and std::string's own storage under sanitizers.
      target_compile_options(${target} PRIVATE $<${cxx}:-Wno-maybe-uninitialized -Wno-uninitialized>)
    endif()
  endif()
endfunction()
