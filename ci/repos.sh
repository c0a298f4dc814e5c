#!/bin/sh
# Makes the signed apt and yum repositories, all of packages.pagerduty.com: keys on top, repositories in pdagent/.
# usage: ci/repos.sh PACKAGES REPO    (a directory with .deb and .rpm files; the directory to make)
#   GPG_KEY_ID         keys to publish, of which the first signs; else the one in GNUPGHOME, if that is set;
#                      else a throw-away key, good for tests only
#   REPO_URL           where hosts will find REPO/pdagent; default https://packages.pagerduty.com/pdagent
#   SOURCE_DATE_EPOCH  the date of all that is made; default the last commit's. Same input, date and key: same bytes.
set -eu
packages=$(realpath "$1")
repo=$(realpath -m "$2")
cd "$(dirname "$0")/.."
# shellcheck source=/dev/null
. packaging/repo/common.sh
: "${REPO_URL:=https://packages.pagerduty.com/pdagent}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
umask 022

gpg() { command gpg --batch --quiet --no-auto-check-trustdb "$@"; }

die() {
    echo "repos: $*" >&2
    exit 1
}

case $REPO_URL in
    */pdagent) ;;
    *) die "REPO_URL must end in /pdagent, as the keys lie above that directory" ;;
esac
for kind in deb rpm; do
    set -- "$packages"/*."$kind"
    [ -e "$1" ] || die "no .$kind in $packages: run 'make packages' first"
done

scratch=$(mktemp -d)
new=$repo.new
cleanup() {
    [ "${GNUPGHOME:-}" != "$scratch/gnupg" ] || gpgconf --kill all
    rm -rf "$scratch" "$new"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
rm -rf "$new"
tree=$new/pdagent
mkdir -p "$tree"

# The keys. The first signs, all are published.
if [ -z "${GPG_KEY_ID:-}" ] && [ -z "${GNUPGHOME:-}" ]; then
    echo "repos: no GPG_KEY_ID and no GNUPGHOME: signing with a throw-away key. DO NOT PUBLISH $repo" >&2
    export GNUPGHOME="$scratch/gnupg"
    mkdir -m 700 "$GNUPGHOME"
    quietly gpg --faked-system-time "$SOURCE_DATE_EPOCH!" --passphrase '' \
        --quick-generate-key 'pdagent throw-away key, good for tests only' rsa4096 sign never
fi
if [ -z "${GPG_KEY_ID:-}" ]; then
    GPG_KEY_ID=$(gpg --with-colons --list-secret-keys | awk -F : '$1 == "sec" { print $5 }')
    [ "$(echo "$GPG_KEY_ID" | wc -w)" = 1 ] || die "GNUPGHOME holds no key or several: name one in GPG_KEY_ID"
fi
keys=$(for id in $GPG_KEY_ID; do
    gpg --with-colons --list-keys "$id" | awk -F : '$1 == "fpr" { print $10; exit }'
done)
[ "$(echo "$keys" | wc -w)" = "$(echo "$GPG_KEY_ID" | wc -w)" ] || die "not all of these are in the keyring: $GPG_KEY_ID"
SIGNING_KEY=$(echo "$keys" | head -n 1)
export SIGNING_KEY

# A signature that is older than its key counts for nothing. Nor does the published key say anything of the time before its last
# change, such as that of its expiry: gpgv does not mind, but sqv, which newer apt asks, refuses an older signature.
key_date=$(gpg --with-colons --list-sigs "$SIGNING_KEY" |
    awk -F : '$1 == "pub" { key = $5 } (key == $5) && $6 > date { date = $6 } END { print date }')
[ "$SOURCE_DATE_EPOCH" -ge "$key_date" ] || SOURCE_DATE_EPOCH=$key_date
export SOURCE_DATE_EPOCH

export_keys() { gpg --export-options export-minimal "$@"; }
# shellcheck disable=SC2086  # one word a key
{
    export_keys --export $keys >"$new/GPG-KEY-pagerduty.gpg"
    export_keys --armor --export $keys >"$new/GPG-KEY-pagerduty"
}
# apt reads the first armoured block of a file only, old rpm the first key of a block only.
for key in $keys; do
    export_keys --armor --export "$key"
done >"$new/GPG-KEY-RPM-pagerduty"
cp "$new/GPG-KEY-pagerduty.gpg" "$new/GPG-KEY-RPM-pagerduty.gpg"
ci/check-key.sh "$new/GPG-KEY-pagerduty"

packaging/repo/keyring.sh "$scratch" "$new"/GPG-KEY-*
packaging/repo/apt.sh "$tree" "$packages"/*.deb "$scratch"/*.deb
packaging/repo/yum.sh "$tree/rpm" "$packages"/*.rpm "$scratch"/*.rpm
for sbom in "$packages"/pdagent_*.cdx.json; do
    [ -e "$sbom" ] || continue
    install -m 644 "$sbom" "$tree/pool/main/p/pdagent/"
    install -m 644 "$sbom" "$tree/rpm/"
done
# What each package is made from, about the file as it is published, and signed as the lists are.
for made in "$packages"/*.intoto.json; do
    [ -e "$made" ] || continue
    made=${made%.intoto.json}
    published=$(find "$tree/pool" "$tree/rpm" -name "$(basename "$made")")
    [ -n "$published" ] || die "$made.intoto.json speaks of no package that is there"
    python3 ci/release/provenance.py publish "$made" "$published"
    sign --armor --detach-sign --output "$published.intoto.json.asc" "$published.intoto.json"
done
for name in pdagent.sources pdagent.list pdagent.repo; do
    sed "s|@REPO_URL@|$REPO_URL|; s|@KEY_URL@|${REPO_URL%/pdagent}|" "packaging/repo/$name" >"$tree/$name"
done

find "$new" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
rm -rf "$repo"
mv "$new" "$repo"
echo "repos: $repo, signed with $SIGNING_KEY, for $REPO_URL"
