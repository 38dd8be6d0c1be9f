#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles tests/targets/render.cpp, which includes the rasterizer, for every kind of processor the library supports, and
# runs it where this machine can. Arm's NEON is cross-compiled where the compiler is there, and run where qemu is.
#
# usage: check_targets.sh [CXX]      (default: g++)
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cxx=${1:-g++}
launcher=
if command -v ccache >/dev/null 2>&1; then launcher=ccache; fi
eigen=$(for d in /usr/include/eigen3 /usr/local/include/eigen3; do [ -d "$d" ] && echo "$d" && break; done || true)
flags="-std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -DEIGEN_MAX_STATIC_ALIGN_BYTES=16 -Iinclude"
flags="$flags -isystem ${eigen:-/usr/include/eigen3} -pthread"

# GCC 12's AVX-512 intrinsics warn about themselves.
quiet=
if "$cxx" --version | grep -q "Free Software"; then quiet="-Wno-maybe-uninitialized -Wno-uninitialized"; fi

# target NAME COMPILER FLAGS RUN: RUN is what starts the program, `no` where it cannot run here
target() {
  echo "check_targets: $1"
  # shellcheck disable=SC2086
  $launcher $2 $flags $3 -c tests/targets/render.cpp -o "$scratch/render.o"
  $2 -pthread $5 "$scratch/render.o" -o "$scratch/render"
  if [ "$4" = no ]; then
    echo "check_targets: $1 compiles; this machine cannot run it"
  else
    $4 "$scratch/render"
  fi
}
has() { # every one of the given flags of /proc/cpuinfo
  for f in "$@"; do grep -qw "$f" /proc/cpuinfo || return 1; done
}

case $(uname -m) in
x86_64)
  run=no; if has avx512f avx512bw avx512vl avx512dq; then run=env; fi
  target AVX-512 "$cxx" "-march=x86-64-v4 $quiet" $run ""
  run=no; if has avx2 fma; then run=env; fi
  target AVX2 "$cxx" -march=haswell $run ""
  target "portable x86-64" "$cxx" -march=x86-64 env ""
  if command -v aarch64-linux-gnu-g++ >/dev/null 2>&1; then
    run=no
    for q in qemu-aarch64-static qemu-aarch64; do
      if command -v $q >/dev/null 2>&1; then run=$q; fi
    done
    target NEON aarch64-linux-gnu-g++ "" $run -static
  else
    echo "check_targets: no aarch64-linux-gnu-g++, NEON not checked (scripts/install_packages.sh targets)"
  fi
  ;;
*)
  target "this processor" "$cxx" "" env ""
  ;;
esac
