#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the benchmarks; writes out/bench/<folder>.json.
#
# usage: bench.sh [--no-install] [FOLDER | REGEX] [Google Benchmark options]
#        bench.sh splat                    the benchmarks of one folder
#        bench.sh splat_cuda               the same of a folder that needs nvcc and a GPU
#        bench.sh 'forward/C:3'            those whose names match, in all folders
set -eu
cd "$(dirname "$0")/.."
install=
if [ "${1:-}" = --no-install ]; then
  install=--no-install
  shift
fi
filter=
case ${1:-} in
"" | --*) ;;
*) filter=$1; shift ;;
esac
sh scripts/install_packages.sh $install bench
preset=bench
case $filter in *_cuda) preset=bench_cuda ;; esac
cmake --preset "$preset" >/dev/null
case $preset in
bench_cuda) cmake --build --preset bench_cuda --target "sqs_bench_$filter" ;;
*) cmake --build --preset bench ;;
esac
programs=build/$preset/benchmarks/sqs_bench_*
regex=.
if [ -n "$filter" ]; then
  if [ -x "build/$preset/benchmarks/sqs_bench_$filter" ]; then
    programs=build/$preset/benchmarks/sqs_bench_$filter
  else
    regex=$filter
  fi
fi
mkdir -p out/bench
ran=0
for program in $programs; do
  [ -x "$program" ] || continue
  # A program none of whose benchmarks match is left out.
  [ -n "$("$program" --benchmark_list_tests --benchmark_filter="$regex" 2>/dev/null)" ] || continue
  folder=${program##*/sqs_bench_}
  "$program" --benchmark_filter="$regex" --benchmark_out="out/bench/$folder.json" --benchmark_out_format=json "$@"
  ran=$((ran + 1))
done
if [ "$ran" = 0 ]; then
  echo "bench.sh: no benchmark matches '$filter'; the folders are: $(cd benchmarks && echo */)" >&2
  exit 1
fi
