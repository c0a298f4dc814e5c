#!/bin/sh
# Says where Debian has newer sources than the lock, and fails then: for the nightly workflow. usage: newer.sh
set -eu
. "$(dirname "$0")/env.sh"
. "$here/apt.sh"
apt_setup
private apt-get update -qq --error-on=any
behind=0
for package in $packages; do
    newest=$(versions "$package" | head -n 1)
    want=$(locked "$package")
    if [ "$newest" = "$want" ]; then
        echo "$package $want is the newest"
    else
        echo "$package: Debian has $newest, the lock $want: run 'make runtime-lock', then 'make test'"
        behind=1
    fi
done
exit "$behind"
