#!/bin/sh
# Says what Debian's stable release has that is newer than the lock, one line a version: package, version, suite, and "here" or
# "missing": whether the mirror has its files. What that means, ci/release/vulnerabilities.py says. usage: newer.sh
set -eu
. "$(dirname "$0")/env.sh"
. "$here/apt.sh"
apt_setup
apt_update || die "no mirror can be reached: nobody knows what is newer"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
for package in $packages; do
    want=$(locked "$package")
    listed "$package" | while read -r version place; do
        if is_later "$place" || ! dpkg --compare-versions "$version" gt "$want"; then continue; fi
        # The description is small, and lies beside the rest.
        if private apt-get source -qq --download-only --dsc-only --only-source "$package=$version" >&2; then
            echo "$package $version $place here"
        else
            echo "$package $version $place missing"
        fi
    done
done
