#!/bin/sh
# Makes a test host of any image: an init, and what an administrator's machine has anyway. Needs a registry.
# usage: ci/hosts/prepare.sh ENGINE IMAGE TAG INIT
set -eu
engine=$1 image=$2 tag=$3 init=$4
cd "$(dirname "$0")"

# shellcheck disable=SC2086  # one word an option
"$engine" build ${PDAGENT_BUILD_OPTIONS:-} --tag "$tag" --file - . <<END
FROM $image
COPY install.sh /tmp/
RUN sh /tmp/install.sh $init && rm /tmp/install.sh
ENV container=$engine
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
END
