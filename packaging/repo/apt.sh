#!/bin/sh
# Makes the apt repository from .deb files, under both of its addresses: "deb URL stable main" and, as the old agent's
# guide has it, "deb URL deb/". Both list the same pool.
# usage: SIGNING_KEY=… SOURCE_DATE_EPOCH=… packaging/repo/apt.sh DIRECTORY DEB…
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$here/common.sh"
tree=$1
shift

for deb; do
    name=$(dpkg-deb -f "$deb" Package)
    pool=$tree/pool/main/$(printf %.1s "$name")/$name
    mkdir -p "$pool"
    install -m 644 "$deb" "$pool/"
done
architectures=$(for deb; do dpkg-deb -f "$deb" Architecture; done | sort -u | grep -vx all | xargs)
date=$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')
cd "$tree"

ftparchive() { apt-ftparchive -c "$here/apt.conf" "$@"; }

# usage: index DIRECTORY [OPTION…]: the list of packages, and copies of it that stay valid while a newer one is uploaded
index() {
    directory=$1
    shift
    mkdir -p "$directory/by-hash/SHA256"
    ftparchive "$@" packages pool >"$directory/Packages"
    gzip -9nk "$directory/Packages"
    xz -9k "$directory/Packages"
    for file in "$directory"/Packages*; do
        cp "$file" "$directory/by-hash/SHA256/$(sha256sum "$file" | cut -d ' ' -f 1)"
    done
}

# usage: release DIRECTORY NAME [OPTION…]: what apt trusts, and through it all else
release() {
    directory=$1 name=$2
    shift 2
    ftparchive -o "APT::FTPArchive::Release::Suite=$name" -o "APT::FTPArchive::Release::Codename=$name" \
        -o "APT::FTPArchive::Release::Date=$date" -o "APT::FTPArchive::Release::Architectures=$architectures" \
        "$@" release "$directory" >Release
    mv Release "$directory/"
    sign --armor --detach-sign --output "$directory/Release.gpg" "$directory/Release"
    sign --clear-sign --output "$directory/InRelease" "$directory/Release"
}

for architecture in $architectures; do
    index "dists/stable/main/binary-$architecture" --arch "$architecture"
done
release dists/stable stable -o APT::FTPArchive::Release::Components=main
index deb
release deb deb
