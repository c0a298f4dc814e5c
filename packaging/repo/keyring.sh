#!/bin/sh
# Makes the packages that bring new keys to hosts, a .deb and an .rpm. A later publication is a later version.
# usage: SOURCE_DATE_EPOCH=… packaging/repo/keyring.sh DIRECTORY KEY…    (the directory to put them into; key files)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=/dev/null
. "$here/common.sh"
target=$1
shift
KEYRING_VERSION=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S)
export KEYRING_VERSION

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp "$@" "$tree/"
# for pdagent check, which would need OpenPGP to learn it from the keys: when the last of them expires
gpg --batch --no-options --with-colons --show-keys "$tree/GPG-KEY-pagerduty.gpg" 2>/dev/null |
    awk -F : '$1 == "pub" { if ($7 == "") never = 1; else if ($7 > last) last = $7 }
        END { if (never) print "never"; else print last }' >"$tree/expires"
read -r expires <"$tree/expires"
[ "$expires" = never ] || date -u -d "@$expires" +%FT%TZ >"$tree/expires"
cp "$here/../../LICENSE" "$tree/copyright"
cp "$here/../lintian/pdagent-archive-keyring" "$tree/overrides"
cat >"$tree/changelog.yaml" <<END
- semver: $KEYRING_VERSION-1
  date: $(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
  packager: PagerDuty <support@pagerduty.com>
  deb: {urgency: low, distributions: [stable]}
  changes: [{note: The keys of the repositories as published on this date.}]
END
touch -d "@$SOURCE_DATE_EPOCH" "$tree"/*
cd "$tree"
for kind in deb rpm; do
    quietly nfpm package --config "$here/keyring.yaml" --packager "$kind" --target "$target/"
done
