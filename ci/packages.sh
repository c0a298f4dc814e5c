#!/bin/sh
# Makes the deb and the rpm of pdagent, for each architecture, of pdagent-integrations and of pdagent-selinux; the list of parts;
# and of each package a statement of what it is made from (ci/release/provenance.py). Same input and date: same bytes,
# whatever the building machine has installed, whoever builds, where and when.
# usage: ci/packages.sh [DIRECTORY]    (where to put them; default dist)
#   ARCHES             default "amd64 arm64"; empty: what is of no architecture alone
#   VERSION            default the agent's
#   SOURCE_DATE_EPOCH  the date of all that is made; default the last commit's
#   COMMIT             what the list of parts says that the packages are made from; default the last commit
#   VENV               the virtual environment; default .venv
set -eu
target=$(realpath -m "${1:-dist}")
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
VERSION=${VERSION:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' agent/pdagent/__init__.py)}
ARCHES=${ARCHES-amd64 arm64}
COMMIT=${COMMIT:-$(git describe --always --abbrev=40 --exclude='*' --dirty=+changes)}
export SOURCE_DATE_EPOCH VERSION COMMIT
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

freeze() { # ARCH: where freeze.sh puts its program
    [ "$1" = amd64 ] && echo build/freeze || echo "build/freeze-$1"
}
for arch in $ARCHES; do
    [ -x "$(freeze "$arch")/pdagent" ] || ARCH=$arch ci/freeze/freeze.sh
done

glibc() { # DIRECTORY: the newest symbols of glibc that the files need, as the packages' dependency
    find "$1" -type f -exec sh -c '
        for file; do
            if head -c 4 "$file" | grep -q ELF; then readelf --version-info --wide "$file"; fi
        done' sh {} + | sed -n 's/.*Name: GLIBC_\([0-9.]*\) .*/\1/p' | sort -uV | tail -n 1
}

stage=build/packages
rm -rf "$stage"
mkdir -p "$stage/deb" "$stage/rpm" "$target"
PYTHONPATH=agent "$VENV/bin/python" ci/documents.py "$stage"
PYTHONPATH=agent "$VENV/bin/python" ci/completion.py "$stage/completion"
cp -R docs "$stage/doc"
rm -f "$target"/pdagent_*.cdx.json
"$VENV/bin/python" ci/release/sbom.py "$target/pdagent_$VERSION.cdx.json"
cp "$target/pdagent_$VERSION.cdx.json" "$stage/doc/sbom.cdx.json"
chmod -R u=rwX,go=rX "$stage/doc"
# nfpm has to be told of each file that rpm is to know as documentation.
{
    find "$stage/doc" -type d -printf '  - {dst: /usr/share/doc/pdagent/%P, type: dir, packager: rpm, file_info: {mode: 0755}}\n'
    find "$stage/doc" -type f -printf \
        '  - {src: build/packages/doc/%P, dst: /usr/share/doc/pdagent/%P, type: doc, packager: rpm, file_info: {mode: 0644}}\n'
} | LC_ALL=C sort >"$stage/documentation.yaml"
sed "/^  # documentation.yaml/r $stage/documentation.yaml" packaging/nfpm.yaml >"$stage/nfpm.yaml"
cp packaging/nfpm-integrations.yaml packaging/nfpm-selinux.yaml "$stage"

# dpkg and rpm take each script as one file.
for script in packaging/deb/* packaging/rpm/*; do
    sed -e '/^\. .*common\.sh"$/ { r packaging/common.sh' -e 'd; }' \
        -e '/^\. .*common-rpm\.sh"$/ { r packaging/common-rpm.sh' -e 'd; }' "$script" |
        sed '/^ *# shellcheck/d' >"$stage/${script#packaging/}"
done

package() { # NAME ARCH LIBC
    for kind in deb rpm; do
        case $kind in
            deb) LIBC="libc6 (>= $3)" RELEASE= ;;
            rpm) LIBC="glibc >= $3" RELEASE=1 ;;
        esac
        export LIBC RELEASE ARCH="$2"
        cat >"$stage/changelog.yaml" <<END
- semver: $VERSION${RELEASE:+-$RELEASE}
  date: $(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
  packager: PagerDuty <support@pagerduty.com>
  deb: {urgency: medium, distributions: [stable]}
  changes: [{note: See CHANGELOG.md in the sources.}]
END
        find init packaging "$stage" LICENSE -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
        "$VENV/bin/nfpm" package --config "$stage/nfpm${1#pdagent}.yaml" --packager $kind --target "$target/" >/dev/null
    done
}

for name in pdagent pdagent-integrations pdagent-selinux; do
    rm -f "$target/$name"[_-][0-9]*.deb "$target/$name"[_-][0-9]*.rpm
done
rm -f "$target"/pdagent*.intoto.json
for arch in $ARCHES; do
    libc=$(glibc "$(freeze "$arch")")
    rm -rf "$stage/program"
    cp -R "$(freeze "$arch")" "$stage/program"
    chmod -R u=rwX,go=rX "$stage/program"
    package pdagent "$arch" "${libc:-2.17}"
done
package pdagent-integrations all none
package pdagent-selinux all none
"$VENV/bin/python" ci/release/provenance.py make "$target"
