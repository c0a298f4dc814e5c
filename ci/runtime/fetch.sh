#!/bin/sh
# Debian's sources into $sources, and their names and hashes into $work/lock. usage: fetch.sh
# Takes the newest that can be had, and says so when that is not what ci/runtime/lock names. What Debian lists and the lock does not
# take, the lock says in lines with '#'. Without a mirror the versions of the lock are taken from an earlier download.
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
# usage: download PACKAGE VERSION
download() { private apt-get source -qq --download-only --only-source "$1=$2" >&2; }
# usage: is FILE SHA-256
is() { [ "$(sha256sum "$1" 2>/dev/null | cut -d ' ' -f 1)" = "$2" ]; }
# The files that the lock names, for a version that no list has any more: from where Debian keeps them. usage: by_hash PACKAGE
by_hash() {
    grep "^$1 " "$here/lock" | while read -r package _ hash file; do
        for pool in $(sed "s|^.*\] \([^ ]*\) .*|\1pool/main \1pool/updates/main|" "$apt/stable.list" | xargs -n 1 | sort -u); do
            is "$file" "$hash" && break
            private apt-helper -qq download-file "$pool/$(printf %.1s "$package")/$package/$file" "$file" "SHA256:$hash" >/dev/null 2>&1 || true
        done
        is "$file" "$hash" || exit 1
    done
}

cd "$sources"
apt_setup
if ! apt_update; then
    sed '/^#/d' "$here/lock" | awk '{ print $3 "  " $4 }' | sha256sum --check --quiet || die 'no mirror, and no earlier download'
    say "no mirror can be reached: building the versions of the lock from an earlier download"
    cp "$here/lock" "$work/lock"
    exit
fi

echo "# 'make runtime-lock' writes this. One line a file: Debian's source package, version, SHA-256, name. A line with '#': not taken." >"$work/lock.new"
for package in $packages; do
    want=$(locked "$package")
    listed "$package" >"$work/listed"
    newest=$(sed 's/ .*//; q' "$work/listed")
    [ -n "$newest" ] || die "the mirror lists no $package of $suite"
    got=
    : >"$work/left"
    while read -r version place; do
        if is_later "$place"; then
            if [ "$got" = "$newest" ] || ! serves "$package" "$version" "$newest" "${want:-0}"; then continue; fi
        elif [ -n "$got" ]; then
            continue
        fi
        # The index may name an update before the mirror has its files; the one before it then is the best there is.
        if download "$package" "$version"; then
            got=$version
            if is_later "$place"; then break; fi
        else
            say "WARNING: Debian has $package $version in $place, but this mirror does not have its files yet"
            echo "# $package $version $place: the mirror does not have it" >>"$work/left"
        fi
    done <"$work/listed"
    # The version of the lock may have left all lists before the mirror has its successor.
    if [ -n "$want" ] && [ "$got" != "$want" ] && { [ -z "$got" ] || dpkg --compare-versions "$got" lt "$want"; }; then
        by_hash "$package" || die "$package: the lock has $want, the mirror only ${got:-files that cannot be had}"
        say "$package: no list has the lock's $want any more, but its files are there"
        got=$want
    fi
    [ -n "$got" ] || die "no version of $package could be downloaded"
    if [ "$got" != "$want" ]; then
        say "$package: Debian moved on to $got (the lock has ${want:-none}); 'make runtime-lock' records it"
    fi
    cat "$work/left" >>"$work/lock.new"
    describe "$package" "$got" >>"$work/lock.new"
done
mv "$work/lock.new" "$work/lock"
