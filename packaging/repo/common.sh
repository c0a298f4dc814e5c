#!/bin/sh
# Sourced by the scripts that make repositories.

# usage: quietly COMMAND…: one whose output matters only when it fails
quietly() {
    output=$("$@" 2>&1) || {
        printf '%s\n' "$output" >&2
        return 1
    }
}

# usage: sign GPG-OPTION…: a signature depends on key, content and SOURCE_DATE_EPOCH, and on nothing else
sign() {
    quietly gpg --batch --yes --faked-system-time "$SOURCE_DATE_EPOCH!" --digest-algo SHA256 -u "$SIGNING_KEY" "$@"
}
