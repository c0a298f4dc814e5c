#!/bin/sh
# Makes the yum repository from .rpm files: signs each, then the list of them.
# usage: SIGNING_KEY=… SOURCE_DATE_EPOCH=… packaging/repo/yum.sh DIRECTORY RPM…
set -eu
# shellcheck source=/dev/null
. "$(dirname "$0")/common.sh"
tree=$1
shift
mkdir -p "$tree"
install -m 644 "$@" "$tree/"

# --rpmv3: rpm before 4.14 (CentOS 7) does not know the payload digest, only a signature over header and payload.
quietly rpmsign --define "__gpg $(command -v gpg)" --define "_gpg_name $SIGNING_KEY" \
    --define '_gpg_digest_algo sha256' \
    --define "_gpg_sign_cmd_extra_args --faked-system-time $SOURCE_DATE_EPOCH! --batch" \
    --rpmv3 --addsign "$tree"/*.rpm
touch -d "@$SOURCE_DATE_EPOCH" "$tree"/*.rpm

# Lists are named after their digest, so those that a host's repomd.xml names stay valid while newer ones are uploaded.
# No SQLite copies: they are not reproducible, and yum does without.
quietly createrepo_c --revision "$SOURCE_DATE_EPOCH" --set-timestamp-to-revision --unique-md-filenames \
    --checksum sha256 --no-database --general-compress-type gz --workers 1 "$tree"
sign --armor --detach-sign --output "$tree/repodata/repomd.xml.asc" "$tree/repodata/repomd.xml"
