#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: consume.sh ROUTE SOURCE BUILD COMPILER CMAKE
# Builds and runs main.cpp against the library by one of the documented routes, in an empty folder.
set -eu
route=$1 source=$2 build=$3 compiler=$4 cmake=$5
main=$source/tests/install/main.cpp
rm -rf "$build"
mkdir -p "$build/project"

if [ "$route" = include ]; then
  # One compiler line, no build system.
  "$compiler" -std=c++20 -O1 -I "$source/include" "$main" -o "$build/consumer" -pthread
  exec "$build/consumer"
fi

options=
case $route in
add_subdirectory)
  how="add_subdirectory(\"$source\" sqs)"
  ;;
find_package)
  "$cmake" -G Ninja -S "$source" -B "$build/library" -DCMAKE_CXX_COMPILER="$compiler" -DSQS_CUDA=OFF -DSQS_BUILD_TESTS=OFF \
    -DSQS_BUILD_EXAMPLES=OFF -DSQS_BUILD_BENCHMARKS=OFF -DSQS_BUILD_INSTANCES=OFF >/dev/null
  "$cmake" --install "$build/library" --prefix "$build/prefix" >/dev/null
  # The installed headers are exactly the library's own.
  (cd "$source/include" && find . -type f | sort) >"$build/ours"
  (cd "$build/prefix/include" && find . -type f | sort) >"$build/installed"
  diff "$build/ours" "$build/installed"
  how="find_package(sqs 0.1 CONFIG REQUIRED COMPONENTS io)"
  options=-DCMAKE_PREFIX_PATH=$build/prefix
  ;;
fetch_content | fetch_content_disconnected)
  how="include(FetchContent)
FetchContent_Declare(sqs SOURCE_DIR \"$source\")
FetchContent_MakeAvailable(sqs)"
  [ "$route" = fetch_content ] || options=-DFETCHCONTENT_FULLY_DISCONNECTED=ON
  ;;
*)
  echo "unknown route $route" >&2
  exit 2
  ;;
esac
printf 'set(HOW [==[%s]==])\nset(MAIN "%s")\nconfigure_file("%s" "%s" @ONLY)\n' "$how" "$main" \
  "$source/tests/install/consumer.cmake.in" "$build/project/CMakeLists.txt" >"$build/generate.cmake"
"$cmake" -P "$build/generate.cmake"
"$cmake" -G Ninja -S "$build/project" -B "$build/out" -DCMAKE_CXX_COMPILER="$compiler" $options >/dev/null
"$cmake" --build "$build/out" --target consumer
exec "$build/out/consumer"
