#!/bin/sh
# Fails a year before the signing keys run out, so that their successor reaches every host in time, and when a key
# is one that some supported rpm or apt refuses. docs/publish.md says what to do about each complaint.
# usage: ci/check-key.sh [FILE]    (public keys, as published: GPG-KEY-pagerduty; standard input if not given)
set -eu
year=365 month=30 # days

GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
if ! gpg --batch --quiet --import -- "${1:--}"; then
    echo "check-key: no public key in ${1:-standard input}" >&2
    exit 1
fi

# gpg's colon format: 2 validity, 3 bits, 4 algorithm (1 is RSA), 5 key id, 7 expiry, 12 capabilities, 16 digest (2 is SHA-1)
gpg --batch --with-colons --list-sigs | awk -F : -v now="$(date +%s)" -v year="$year" -v month="$month" '
    function bad(what) { print "check-key: " key ": " what; failed = 1 }
    $1 == "pub" {
        key = $5; keys++
        left = $7 ? int(($7 - now) / 86400) : 100000
        if (left > longest) longest = left
        if ($2 == "r") bad("is revoked")
        else if ($2 == "e") bad("has expired")
        else if (left < month) bad("expires in " left " days: sign with its successor, and publish it no more")
        if ($4 != 1 || $3 < 3072) bad("is not RSA of 3072 bits or more (old rpm knows no elliptic curves)")
        if ($12 !~ /s/) bad("cannot sign")
    }
    $1 == "sub" && $2 !~ /[er]/ && $12 ~ /s/ { bad("signs with a subkey, which rpm before 4.14 does not know") }
    $1 == "sig" && $5 == key && $16 == 2 { bad("is signed with SHA-1 by itself, which Red Hat 9 refuses") }
    END {
        if (!keys) { print "check-key: no public key"; exit 1 }
        key = "newest key"
        if (longest < year) bad("expires in " longest " days: time to publish its successor")
        exit failed
    }' >&2
