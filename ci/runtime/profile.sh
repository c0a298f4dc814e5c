#!/bin/sh
# Finds out how often the program takes each of Python's branches, and keeps that in python.profdata.xz, which python.sh
# builds with: builds need no training, and two of them give the same bytes. By hand, when Python or what a pd-send does
# has changed a lot. usage: profile.sh (needs llvm-profdata, of any version since 14)
set -eu
. "$(dirname "$0")/env.sh"
command -v llvm-profdata >/dev/null || die "llvm-profdata is missing: install Debian's package llvm"
export TRAINING=1
rm -rf "$work"
"$here/fetch.sh"
for step in toolchain zlib openssl python bootloader; do
    say "$step, for training"
    "$here/$step.sh" >&2
done
cp "$work/lock" "$out/"

cd "$here/../.."
RUNTIME_HOME=$out ci/freeze/freeze.sh
mkdir "$work/counters"
PYTHONPATH=agent:. "$venv/bin/python" -m benchmarks.training build/freeze/pdagent "$work/counters"
python3 ci/runtime/profile.py build/freeze/pdagent "$work/counters/"* >"$work/python.proftext"
llvm-profdata merge -o "$work/python.profdata" "$work/python.proftext"
xz -9e -c "$work/python.profdata" >"$here/python.profdata.xz"
rm -rf "$work" build/freeze build/freeze.key
git diff --stat -- "$here"
