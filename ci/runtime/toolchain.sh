#!/bin/sh
# The compiler, from PyPI by hash, and short names for it in $work/bin. usage: toolchain.sh
set -eu
. "$(dirname "$0")/env.sh"
stamp=$toolchain/$(sha256sum <"$here/requirements.txt" | cut -c 1-16)
mkdir -p "$work"
if [ ! -e "$stamp" ]; then
    rm -rf "$toolchain"
    grep -A 1 '^ziglang==' "$here/requirements.txt" >"$work/toolchain.txt"
    quietly toolchain "$venv/bin/pip" install --disable-pip-version-check --no-deps --require-hashes --target "$toolchain/site" -r "$work/toolchain.txt"
    touch "$stamp"
fi

# In the wrapper, not in CFLAGS, which OpenSSL and Python write into the program. The map takes this machine's paths out of
# assertions and debug strings; -fno-sanitize and -Wno-date-time undo zig's defaults, which do not fit code that is not its own.
zig=$toolchain/site/ziglang/zig
rm -rf "${work:?}/bin"
mkdir "$work/bin"
for tool in cc c++; do
    echo "#!/bin/sh
exec '$zig' $tool -target $triple.$floor -fno-sanitize=undefined -Wno-date-time -ffile-prefix-map='$work'=/usr/src \"\$@\"" >"$work/bin/$tool"
done
for tool in ar ranlib; do
    echo "#!/bin/sh
exec '$zig' $tool \"\$@\"" >"$work/bin/$tool"
done
chmod +x "$work/bin/"*
