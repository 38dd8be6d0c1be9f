#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Formats all sources with clang-format 14, whose output differs from other versions'.
#
# usage: format.sh [--check] [FILE...]      --check changes nothing and fails if something would change
set -eu
cd "$(dirname "$0")/.."
mode=-i
if [ "${1:-}" = --check ]; then
  mode="--dry-run --Werror"
  shift
fi
tool=
for candidate in clang-format-14 clang-format; do
  if command -v "$candidate" >/dev/null 2>&1 && "$candidate" --version | grep -q 'version 14\.'; then
    tool=$candidate
    break
  fi
done
if [ -z "$tool" ]; then
  echo "format.sh: clang-format 14 is not installed; run scripts/install_packages.sh ci" >&2
  exit 1
fi
if [ $# = 0 ]; then
  find include instances tests examples benchmarks \
    -name '*.hpp' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cu' -o -name '*.h' | sort | xargs "$tool" $mode
else
  "$tool" $mode "$@"
fi
