#!/bin/sh
# A static zlib in $out. usage: zlib.sh
set -eu
. "$(dirname "$0")/env.sh"
"$here/unpack.sh" zlib
cd "$work/zlib"
export CFLAGS="-O3 -g0 $harden -fPIC"
quietly zlib ./configure --static --prefix=/usr
quietly zlib make -j "$jobs" libz.a
mkdir -p "$out/lib" "$out/include"
cp libz.a "$out/lib/"
cp zlib.h zconf.h "$out/include/"
