#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds the main program and pre-trains a small SQS model; the result is out/index.html.
#
# usage: demo.sh [--no-install] [options of pretrain_sqs]
#        demo.sh --data nuscenes:PATH      trains on a data set in native nuScenes layout
#        demo.sh --help                    all options
set -eu
here=$(pwd)
cd "$(dirname "$0")/.."
project=$(pwd)
install=
if [ "${1:-}" = --no-install ]; then
  install=--no-install
  shift
fi
sh scripts/install_packages.sh $install demo
cmake --preset demo >/dev/null
cmake --build --preset demo
# Paths on the command line are the caller's; the default output folder is the project's.
case " $* " in
*" --out"[\ =]* | *" --help "* | *" -h "*) ;;
*) set -- --out "$project/out" "$@" ;;
esac
# 300 steps: the model and its control together stay under four minutes on two cores.
case " $* " in
*" --steps"[\ =]* | *" --config"[\ =]* | *" --help "* | *" -h "*) ;;
*) set -- --steps 300 "$@" ;;
esac
cd "$here"
exec "$project/build/demo/examples/pretrain_sqs" "$@"
