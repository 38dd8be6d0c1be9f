#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds and runs all tests.
#
# usage: test.sh [--no-install] [ctest options]      for example: test.sh -R splat, test.sh -L consume
set -eu
cd "$(dirname "$0")/.."
install=
if [ "${1:-}" = --no-install ]; then
  install=--no-install
  shift
fi
sh scripts/install_packages.sh $install test
cmake --preset test >/dev/null
cmake --build --preset test
exec ctest --preset test --output-on-failure "$@"
