#!/bin/sh
# Freezes the agent into build/freeze/. usage: [RUNTIME=own|stock] ci/freeze/freeze.sh
#   own    build/freeze/pdagent, one file, on the runtime that ci/runtime/build.sh makes
#   stock  build/freeze/pdagent and build/freeze/_internal/, on this machine's Python and glibc
set -eu
cd "$(dirname "$0")/../.."
runtime=${RUNTIME:-own}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
work=$PWD/build/freeze-work

case $runtime in
    own) home=${RUNTIME_HOME:-$(ci/runtime/build.sh)} python=$home/usr/bin/python3.13 stubs=$PWD/ci/freeze/stubs:$PWD/ci/freeze/build-stubs ;;
    stock) home='' python=$(readlink -f .venv/bin/python) stubs=$PWD/ci/freeze/stubs ;;
    *) echo "freeze: RUNTIME is own or stock, not $runtime" >&2 && exit 2 ;;
esac

# Nothing to do for the same sources on the same runtime.
key=$(find agent ci/freeze -type f ! -name '*.pyc' | LC_ALL=C sort | xargs sha256sum | cat - ci/runtime/requirements.txt | sha256sum)
key="$runtime $home $python ${key%% *}"
if [ -x build/freeze/pdagent ] && [ "$(cat build/freeze.key 2>/dev/null)" = "$key" ]; then
    exit
fi

# PyInstaller and the libraries that go into the program, by hash. A directory of their own: certifi and charset_normalizer,
# for which there are stubs, must not be found.
site=$cache/freeze-$(sha256sum <ci/freeze/requirements.txt | cut -c 1-16)
if [ ! -d "$site" ]; then
    mkdir -p "$cache"
    fresh=$(mktemp -d "$cache/freeze.XXXXXX")
    .venv/bin/pip install -q --disable-pip-version-check --no-compile --no-deps --only-binary :all: --require-hashes \
        --target "$fresh" -r ci/freeze/requirements.txt
    chmod 755 "$fresh"
    mv -T "$fresh" "$site" 2>/dev/null || [ -d "$site" ] # someone else's is as good
fi

rm -rf build/freeze build/freeze.key build/runtime.lock "$work"
mkdir -p "$work"
cp -R "$site" "$work/site"
[ -z "$home" ] || cp "$home/run" "$work/site/PyInstaller/bootloader/Linux-64bit-intel/run"

# Nothing of when, where and by whom it is built may show.
umask 022
env -i PATH="$PATH" HOME="$work" LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=1700000000 PYTHONHASHSEED=0 PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$stubs:$work/site" PYINSTALLER_CONFIG_DIR="$work" RUNTIME="$runtime" \
    "$python" -m PyInstaller --noconfirm --log-level WARN --distpath "$work/dist" --workpath "$work/build" ci/freeze/pdagent.spec

if [ -d "$work/dist/pdagent" ]; then
    mv "$work/dist/pdagent" build/freeze
else
    mkdir build/freeze
    mv "$work/dist/pdagent" build/freeze/
fi
[ -z "$home" ] || cp "$home/lock" build/runtime.lock
rm -rf "$work"
.venv/bin/python ci/freeze/sbom.py build
echo "$key" >build/freeze.key
