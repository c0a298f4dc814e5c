#!/bin/sh
# Makes the repositories that hosts are tested with, in build/hosts/repo/, signed with a key of their own:
#   current/   what `make packages` made
#   next/      the same under a later version, to upgrade to
#   old/       stand-ins for the agents before this one, to upgrade from: packages, no repository
#   stranger/  somebody else's keys, and nothing that they signed
# usage: ci/hosts/repos.sh     (nfpm in the PATH)
set -eu
cd "$(dirname "$0")/../.."
work=$PWD/build/hosts

# usage: key NAME: a new key in a GNUPGHOME of its own
key() {
    GNUPGHOME=$(mktemp -d)
    export GNUPGHOME
    gpg --batch --quiet --passphrase '' --quick-generate-key "$1" rsa3072 sign never
}

# usage: repo NAME PACKAGES
repo() {
    REPO_URL=http://packages.test/$1/pdagent ci/repos.sh "$2" "$work/repo/$1"
}

# With the same packages there is nothing to do.
made_from=$(
    sha256sum dist/*.deb dist/*.rpm ci/repos.sh ci/old-agent.sh ci/hosts/repos.sh
    find tests/package/*_agent -type f -exec sha256sum {} + | sort
)
[ "$made_from" != "$(cat "$work/repo/made-from" 2>/dev/null)" ] || exit 0

rm -rf "$work/repo" "$work/next"
mkdir -p "$work/repo/stranger"

key 'somebody else, for tests only'
for name in GPG-KEY-pagerduty GPG-KEY-RPM-pagerduty; do
    gpg --armor --export >"$work/repo/stranger/$name"
done
gpgconf --kill all
rm -rf "$GNUPGHOME"

key 'test hosts, for tests only'
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
repo current dist
VERSION=3.0.1 ARCHES=amd64 ci/packages.sh "$work/next"
repo next "$work/next"
ci/old-agent.sh "$work/repo/old"
echo "$made_from" >"$work/repo/made-from"
