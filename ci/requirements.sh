#!/bin/sh
# Pins ci/requirements.in, and all that it pulls in, into ci/requirements.txt; and mutmut, with the rest of what it
# pulls in, into ci/requirements-mutants.txt.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch"
"$scratch/bin/pip" install -q -r requirements.in
{
    echo "# Made by ci/requirements.sh from requirements.in; do not edit."
    "$scratch/bin/pip" freeze
} >requirements.txt
"$scratch/bin/pip" install -q mutmut
{
    echo "# Made by ci/requirements.sh; do not edit. What mutmut needs besides requirements.txt."
    "$scratch/bin/pip" freeze | grep -vxFf requirements.txt
} >requirements-mutants.txt
