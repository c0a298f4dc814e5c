#!/bin/sh
# Sourced by the scripts that make repositories.

quietly() { # COMMAND…: whose output matters only when it fails
    output=$("$@" 2>&1) || {
        printf '%s\n' "$output" >&2
        return 1
    }
}

sign() { # GPG-OPTION…: a signature depends on key, content and SOURCE_DATE_EPOCH, and on nothing else
    quietly gpg --batch --yes --faked-system-time "$SOURCE_DATE_EPOCH!" --digest-algo SHA256 -u "$SIGNING_KEY" "$@"
}
