#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian or Ubuntu packages that are missing; does nothing when all are there.
#
# usage: install_packages.sh [--no-install] [demo|test|bench|ci|targets]...      (default: demo)
#   --no-install   only list what is missing, and fail if something is
set -eu

install=yes
sets=
for word in "$@"; do
  case $word in
  --no-install) install=no ;;
  demo | test | bench | ci | targets) sets="$sets $word" ;;
  *) echo "install_packages.sh: unknown argument $word; give --no-install, demo, test, bench, ci or targets" >&2; exit 2 ;;
  esac
done

needed="g++ cmake ninja-build ccache libeigen3-dev libboost-dev nlohmann-json3-dev libjpeg-dev libpng-dev zlib1g-dev"
for set in ${sets:-demo}; do
  case $set in
  demo) needed="$needed libcli11-dev libfmt-dev" ;;
  test) needed="$needed libcli11-dev libfmt-dev libgtest-dev libgmock-dev python3 unzip bzip2" ;;
  bench) needed="$needed libbenchmark-dev" ;;
  ci) needed="$needed clang-format-14 clang-14 libclang-rt-14-dev git" ;;
  targets) # the cross-compiler exists on x86-64 only
    if [ "$(uname -m)" = x86_64 ]; then needed="$needed g++-aarch64-linux-gnu qemu-user-static"; fi
    ;;
  esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "install_packages.sh: this is not Debian or Ubuntu; install what corresponds to: $needed" >&2
  exit 0
fi
missing=
for package in $needed; do
  case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true) in
  "install ok installed") ;;
  *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$install" = no ]; then
  echo "missing packages:$missing" >&2
  echo "install them with: apt-get install$missing" >&2
  exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "install_packages.sh: neither root nor sudo; ask an administrator for: apt-get install$missing" >&2
    exit 1
  fi
  as_root=sudo
fi
echo "installing:$missing"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
