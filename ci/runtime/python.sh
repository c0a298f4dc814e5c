#!/bin/sh
# CPython in $out: libpython as a static library with every C module the agent uses inside, and an interpreter of the same
# build for PyInstaller to run on. usage: python.sh (after zlib.sh and openssl.sh)
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

# What every start pays for, and a program of ten milliseconds notices (docs/runtime.md):
# - the codecs that the interpreter needs before it can import anything: frozen, they cost no look into the archive,
sed -i "s/^\( *\)# *'<encodings\.\*>',/\1'<encodings>',\n\1'encodings.aliases',\n\1'encodings.utf_8',\n\1'encodings.ascii',\n\1'encodings.latin_1',/" \
    Tools/build/freeze_modules.py
grep -q "'encodings.utf_8'" Tools/build/freeze_modules.py || die 'freeze_modules.py has changed: encodings not frozen'
# - aliases of codecs that are not in the program,
kept=$(paste -s -d '|' "$here/codecs")
sed -i -E "/^ +'[^']*' *: '/{/: '($kept)'/!d}" Lib/encodings/aliases.py
# - garbage collections before the first line of ours runs,
sed -i 's/{ .threshold = 2000, }/{ .threshold = 20000, }/' Include/internal/pycore_runtime_init.h
grep -q 'threshold = 20000' Include/internal/pycore_runtime_init.h || die 'pycore_runtime_init.h has changed: threshold'
quietly python-freeze python3 Tools/build/freeze_modules.py --frozen-modules
# - an importer for zip files, of which there are none.
sed -i '/{"zipimport", /d' Python/frozen.c

# How often each branch is taken, which profile.sh has found out and kept; what Debian has changed since goes without.
xz -dc "$here/python.profdata.xz" >python.profdata
profile='-fprofile-use=python.profdata -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin'
[ -z "${TRAINING:-}" ] || profile=$training lto=

# A test program that takes as long to link as the interpreter.
sed -i 's| Programs/_testembed||' Makefile.pre.in

# zig's headers are newer than the glibc it links for, so what they declare is not always there;
# and posix_spawn is another function since 2.15 (the agent starts nothing). nice() is called broken where the build is nice.
quietly python-configure env MODULE_BUILDTYPE=static PKG_CONFIG=/bin/false \
    ZLIB_CFLAGS="-I$out/include" ZLIB_LIBS="$out/lib/libz.a" CFLAGS="-g0 $harden $lto $profile" LDFLAGS="$lto" \
    ac_cv_header_sys_auxv_h=no ac_cv_func_getauxval=no ac_cv_func_prlimit=no ac_cv_broken_nice=no \
    ac_cv_func_posix_spawn=no ac_cv_func_posix_spawnp=no \
    ac_cv_working_openssl_hashlib=no py_cv_module__uuid=n/a \
    ./configure --prefix=/usr --disable-shared --with-static-libpython --without-ensurepip --disable-test-modules \
    --without-mimalloc --without-doc-strings --without-readline --with-computed-gotos \
    --with-openssl="$out" --with-openssl-rpath=no
quietly python make -j "$jobs"
quietly python-install make install DESTDIR="$out"
cp "libpython$python.a" "$out/lib/"
# PyInstaller insists on a shared libpython, which the spec drops again.
echo 'int none;' | cc -shared -x c - -o "$out/usr/lib/libpython$python.so.1.0"
find . -name '*.a' -path './Modules/_hacl/*' -exec cp '{}' "$out/lib/" ';'
