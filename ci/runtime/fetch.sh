#!/bin/sh
# Debian's sources into $sources, and their names and hashes into $work/lock. usage: fetch.sh
# Takes the newest that can be had, and says so when that is not what ci/runtime/lock names. Without a mirror the
# versions of the lock are taken from an earlier download.
set -eu
. "$(dirname "$0")/env.sh"
. "$here/apt.sh"
mkdir -p "$sources" "$work"

# One line a file: package, version, SHA-256, name. usage: describe PACKAGE VERSION
describe() {
    dsc=$1_${2#*:}.dsc
    for file in "$dsc" $(sed -n '/^Checksums-Sha256:/,/^[^ ]/s/^ [0-9a-f]* [0-9]* //p' "$dsc"); do
        echo "$1 $2 $(sha256sum "$file" | cut -d ' ' -f 1) $file"
    done
}

cd "$sources"
apt_setup
if ! private apt-get update -qq --error-on=any; then
    awk '{ print $3 "  " $4 }' "$here/lock" | sha256sum --check --quiet || die 'no mirror, and no earlier download'
    say "no mirror can be reached: building the versions of the lock from an earlier download"
    cp "$here/lock" "$work/lock"
    exit
fi

for package in $packages; do
    want=$(locked "$package")
    got=
    for version in $(versions "$package"); do
        # The index may name an update before the mirror has its files; the one before it then is the best there is.
        if private apt-get source -qq --download-only --only-source "$package=$version" >&2; then
            got=$version
            break
        fi
        say "WARNING: Debian has $package $version, but this mirror does not have its files yet"
    done
    [ -n "$got" ] || die "no version of $package could be downloaded"
    if [ "$got" != "$want" ]; then
        [ -z "$want" ] || dpkg --compare-versions "$got" gt "$want" || die "$package: the lock has $want, the mirror only $got"
        say "$package: Debian moved on to $got (the lock has ${want:-none}); 'make runtime-lock' records it"
    fi
    describe "$package" "$got"
done >"$work/lock.new"
mv "$work/lock.new" "$work/lock"
