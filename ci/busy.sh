#!/bin/sh
# Runs a command beside six busy loops. usage: busy.sh COMMAND [ARGUMENT]...
set -eu
loops=
trap 'kill $loops' EXIT
for _ in 1 2 3 4 5 6; do
    while :; do :; done &
    loops="$loops $!"
done
"$@"
