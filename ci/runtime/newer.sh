#!/bin/sh
# Says what Debian has that is newer than the lock, one line a version: package, version, suite, and "here" or "missing": whether the
# mirror has its files. "later" is the newest of the same series in later suites, which often names fixes first. Debian's changelogs of
# these, where they can be had, go to DIRECTORY/PACKAGE_VERSION. What all that means, ci/release/vulnerabilities.py says.
# usage: newer.sh DIRECTORY
set -eu
. "$(dirname "$0")/env.sh"
. "$here/apt.sh"
rm -rf "$1"
mkdir -p "$1"
changelogs=$(realpath "$1")
apt_setup
apt_update || die "no mirror can be reached: nobody knows what is newer"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# apt-get with the lists of what Debian made of its sources. usage: made apt-get …
made() { private "$@" -qq -o Dir::Etc::SourceList="$apt/made.list" -o Dir::State::Lists="$apt/made"; }
# The changelog, out of a package that was made of the source: a mirror may have that and not the source. usage: changelog PACKAGE VERSION
changelog() {
    case $1 in
        zlib) name=zlib1g ;;
        openssl) name=libssl3t64 ;;
        *) name=lib$1-minimal ;;
    esac
    if [ ! -e indexed ]; then
        sed 's/^deb-src/deb/' "$apt/sources.list" >"$apt/made.list"
        mkdir -p "$apt/made/partial"
        made apt-get update && touch indexed || return
    fi
    made apt-get download "$name=$2" || return
    dpkg-deb --fsys-tarfile "$name"_*.deb | tar -xO "./usr/share/doc/$name/changelog.Debian.gz" | gzip -d >text
    rm "$name"_*.deb
    [ -s text ] && mv text "$changelogs/$1_$2"
}
for package in $packages; do
    want=$(locked "$package")
    later_one=
    listed "$package" | while read -r version place; do
        if ! dpkg --compare-versions "$version" gt "$want"; then continue; fi
        if is_later "$place"; then
            if [ -n "$later_one" ] || ! of_series "$package" "$version"; then continue; fi
            later_one=$version
            echo "$package $version $place later"
            # It names again what the lock's version has as patches.
            changelog "$package" "$want" >&2 || say "$package $want: its changelog cannot be had"
        # The description is small, and lies beside the rest.
        elif private apt-get source -qq --download-only --dsc-only --only-source "$package=$version" >&2; then
            echo "$package $version $place here"
        else
            echo "$package $version $place missing"
        fi
        changelog "$package" "$version" >&2 || say "$package $version: its changelog cannot be had"
    done
done
