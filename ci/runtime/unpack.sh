#!/bin/sh
# The sources of one package into $work/PACKAGE, Debian's patches applied. usage: unpack.sh PACKAGE
set -eu
. "$(dirname "$0")/env.sh"
rm -rf "${work:?}/$1"
dsc=$(awk -v package="$1" '$1 == package && $4 ~ /\.dsc$/ { print $4 }' "$work/lock")
# --no-check: apt has checked the archive's signature down to each file; the uploader's own key need not be on this machine.
quietly "unpack-$1" dpkg-source --no-check --no-copy -x "$sources/$dsc" "$work/$1"
