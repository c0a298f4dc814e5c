#!/bin/sh
# CPython in $out: libpython as a static library with every C module the agent uses inside, and on amd64 an interpreter of the
# same build for PyInstaller to run on. usage: [BUILD_PYTHON=FILE] python.sh (after zlib.sh and openssl.sh)
#   BUILD_PYTHON  for another architecture than amd64: the amd64 build's interpreter, of the same sources
set -eu
. "$(dirname "$0")/env.sh"
"$here/unpack.sh" "python$python"
cd "$work/python$python"

cp "$here/pages.c" "$here/fortify.c" Modules/
# A line with '=' would be read as a variable, hence no -DNAME=VALUE here. pyexpat is for PyInstaller alone.
cat >Modules/Setup.local <<END
*static*
_pages pages.c fortify.c
_ssl _ssl.c -I$out/include $out/lib/libssl.a $out/lib/libcrypto.a -lpthread -ldl
*shared*
pyexpat pyexpat.c expat/xmlparse.c expat/xmlrole.c expat/xmltok.c -I\$(srcdir)/Modules/expat -DHAVE_EXPAT_CONFIG_H -DUSE_PYEXPAT_CAPI -DXML_DEV_URANDOM
*disabled*
$(cat "$here/modules-left-out")
END

# What every start pays for, and a program of ten milliseconds notices: each patch says what (docs/runtime.md has the figures).
change() { # NAME: applies a patch, which must fit
    quietly python-patch patch -p 1 --fuzz 0 --no-backup-if-mismatch --input "$here/patches/$1.patch"
}
change frozen-modules
change garbage
change testembed
# Aliases of codecs that are not in the program go too.
kept=$(paste -s -d '|' "$here/codecs")
sed -i -E "/^ +'[^']*' *: '/{/: '($kept)'/!d}" Lib/encodings/aliases.py
grep -q "'utf_8'" Lib/encodings/aliases.py || die 'aliases.py has changed: no alias is left'
quietly python-freeze python3 Tools/build/freeze_modules.py --frozen-modules
change zipimport

# How often each branch is taken, which profile.sh has found out and kept; what Debian has changed since goes without.
xz -dc "$here/python.profdata.xz" >python.profdata
profile='-fprofile-use=python.profdata -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin'
[ -z "${TRAINING:-}" ] || profile=$training lto=

# zig's headers are newer than the glibc it links for, so what they declare is not always there;
# and posix_spawn is another function since 2.15 (the agent starts nothing). nice() is called broken where the build is nice.
case $ARCH in
    amd64) cross='' ;;
    # What configure finds out by running a program, it is told.
    *) cross="--host=$triple --build=x86_64-linux-gnu --with-build-python=$BUILD_PYTHON
        ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no ac_cv_buggy_getaddrinfo=no" ;;
esac
# shellcheck disable=SC2086  # a list of options
quietly python-configure env MODULE_BUILDTYPE=static PKG_CONFIG=/bin/false \
    ZLIB_CFLAGS="-I$out/include" ZLIB_LIBS="$out/lib/libz.a" CFLAGS="-g0 $harden $lto $profile" LDFLAGS="$lto" \
    ac_cv_header_sys_auxv_h=no ac_cv_func_getauxval=no ac_cv_func_prlimit=no ac_cv_broken_nice=no \
    ac_cv_func_posix_spawn=no ac_cv_func_posix_spawnp=no \
    ac_cv_working_openssl_hashlib=no py_cv_module__uuid=n/a \
    ./configure $cross --prefix=/usr --disable-shared --with-static-libpython --without-ensurepip --disable-test-modules \
    --without-mimalloc --without-doc-strings --without-readline --with-computed-gotos \
    --with-openssl="$out" --with-openssl-rpath=no
if [ "$ARCH" = amd64 ]; then
    quietly python make -j "$jobs"
    quietly python-install make install DESTDIR="$out"
    # PyInstaller insists on a shared libpython, which the spec drops again.
    echo 'int none;' | cc -shared -x c - -o "$out/usr/lib/libpython$python.so.1.0"
else
    quietly python make -j "$jobs" "libpython$python.a"
fi
cp "libpython$python.a" "$out/lib/"
mkdir -p "$out/include/python"
cp -R Include/. pyconfig.h "$out/include/python/"
find . -name '*.a' -path './Modules/_hacl/*' -exec cp '{}' "$out/lib/" ';'
