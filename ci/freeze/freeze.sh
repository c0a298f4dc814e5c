#!/bin/sh
# Freezes the agent into build/freeze/. usage: [RUNTIME=own|stock] [ARCH=amd64|arm64] ci/freeze/freeze.sh
#   own    build/freeze/pdagent, one file, on the runtime that ci/runtime/build.sh makes; for arm64 build/freeze-arm64/pdagent
#   stock  build/freeze/pdagent and build/freeze/_internal/, on this machine's Python and glibc
# For arm64 too PyInstaller runs on amd64's runtime. Only the bootloader depends on the machine, and then it is arm64's.
set -eu
cd "$(dirname "$0")/../.."
runtime=${RUNTIME:-own}
arch=${ARCH:-amd64}
venv=${VENV:-.venv}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
freeze=build/freeze
[ "$arch" = amd64 ] || freeze=build/freeze-$arch
work=$PWD/$freeze-work

case $runtime in
    own)
        python=${RUNTIME_HOME:-$(ARCH=amd64 ci/runtime/build.sh)}/usr/bin/python3.13
        home=${RUNTIME_HOME:-$(ARCH=$arch ci/runtime/build.sh)}
        stubs=$PWD/ci/freeze/stubs:$PWD/ci/freeze/build-stubs
        ;;
    stock) home='' python=$(readlink -f "$venv/bin/python") stubs=$PWD/ci/freeze/stubs ;;
    *) echo "freeze: RUNTIME is own or stock, not $runtime" >&2 && exit 2 ;;
esac

# With the same sources and the same runtime there is nothing to do.
key=$(find agent ci/freeze -type f ! -name '*.pyc' | LC_ALL=C sort | xargs sha256sum | cat - ci/runtime/requirements.txt | sha256sum)
key="$runtime $home $python ${key%% *}"
if [ -x "$freeze/pdagent" ] && [ "$(cat "$freeze.key" 2>/dev/null)" = "$key" ]; then
    exit
fi

# PyInstaller and the libraries that go into the program, by hash. They get a directory of their own, so that certifi and
# charset_normalizer, for which there are stubs, are not found.
site=$cache/freeze-$(sha256sum <ci/freeze/requirements.txt | cut -c 1-16)
if [ ! -d "$site" ]; then
    mkdir -p "$cache"
    fresh=$(mktemp -d "$cache/freeze.XXXXXX")
    "$venv/bin/pip" install -q --disable-pip-version-check --no-compile --no-deps --only-binary :all: --require-hashes \
        --target "$fresh" -r ci/freeze/requirements.txt
    chmod 755 "$fresh"
    mv -T "$fresh" "$site" 2>/dev/null || [ -d "$site" ] # another process was faster, and its result is as good
fi

rm -rf "$freeze" "$freeze.key" build/runtime.lock "$work"
mkdir -p "$work"
cp -R "$site" "$work/site"
[ -z "$home" ] || cp "$home/run" "$work/site/PyInstaller/bootloader/Linux-64bit-intel/run"

path=$PATH
if [ "$arch" = arm64 ]; then
    # PyInstaller puts its archive into the bootloader by objcopy, and Debian's knows its own machine only.
    mkdir "$work/bin"
    ln -s "$(command -v aarch64-linux-gnu-objcopy)" "$work/bin/objcopy"
    path=$work/bin:$path
fi

# The program must not show when, where and by whom it was built.
umask 022
env -i PATH="$path" HOME="$work" LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=1700000000 PYTHONHASHSEED=0 PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$stubs:$work/site" PYINSTALLER_CONFIG_DIR="$work" RUNTIME="$runtime" \
    "$python" -m PyInstaller --noconfirm --log-level WARN --distpath "$work/dist" --workpath "$work/build" ci/freeze/pdagent.spec

if [ -d "$work/dist/pdagent" ]; then
    mv "$work/dist/pdagent" "$freeze"
else
    mkdir "$freeze"
    mv "$work/dist/pdagent" "$freeze/"
fi
[ -z "$home" ] || cp "$home/lock" build/runtime.lock
rm -rf "$work"
echo "$key" >"$freeze.key"
