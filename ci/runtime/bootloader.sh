#!/bin/sh
# PyInstaller's bootloader, as released, linked with libpython: $out/run. usage: bootloader.sh (after python.sh)
set -eu
. "$(dirname "$0")/env.sh"
cd "$work"
rm -rf bootloader pyinstaller-*
grep -A 1 '^pyinstaller==' "$here/requirements.txt" >bootloader.txt
# pip asks the archive for its metadata, and PyInstaller would answer by compiling a bootloader, unless it sees one.
touch run
quietly bootloader-source env PYI_PLATFORM="$work" "$venv/bin/pip" download --disable-pip-version-check --no-deps --no-build-isolation --no-binary :all: \
    --require-hashes -d . -r bootloader.txt
tar xf pyinstaller-*.tar.gz
mv pyinstaller-*/bootloader/src bootloader
cd bootloader

# What PyInstaller's own build finds out on Linux.
defines='-D_REENTRANT -D_BSD_SOURCE -D_DEFAULT_SOURCE -DNDEBUG -DPYI_USE_POSIX_SEMAPHORE -DHAVE_SEMAPHORE_H -DHAVE_BASENAME
    -DHAVE_DIRNAME -DHAVE_MKDTEMP -DHAVE_STDBOOL_H -DHAVE_UNSETENV -DHAVE_WCSDUP'
# The functions of the newer PEP 741 interface appear with Python 3.14; until then the bootloader takes the older one.
sed -n 's/^ *_IMPORT_FUNCTION(\(Py[A-Za-z0-9_]*\)).*/X(\1)/p' pyi_dylib_python.c | grep -v InitConfig >python-functions.h
cp "$here/shim.c" "$here/early.c" .
for source in *.c; do
    # shellcheck disable=SC2086  # lists of flags
    quietly bootloader cc -O2 -g0 $harden $defines -I. -I"$out/include" -I"$out/include/python" -c "$source" -o "${source%.c}.o"
done

wrapped='pyi_getenv pyi_setenv pyi_unsetenv pyi_path_join'
collect=-Wl,--gc-sections
if [ -n "${TRAINING:-}" ]; then
    quietly bootloader-profile cc -O2 -c "$here/profile.c" -o profile.o
    wrapped="$wrapped _exit" collect=
fi
wrap=
for symbol in $wrapped; do
    wrap="$wrap -Wl,--wrap=$symbol"
done
# Stripped by the linker: the bootloader finds its archive at the end of the file only without a symbol table.
# shellcheck disable=SC2086
quietly bootloader-link cc -O2 $lto $wrap -o "$out/run" ./*.o "$out"/lib/libpython*.a "$out"/lib/libHacl*.a \
    "$out/lib/libssl.a" "$out/lib/libcrypto.a" "$out/lib/libz.a" \
    -lm -lpthread -lrt -Wl,-s $collect -Wl,--build-id=none $harden_link
