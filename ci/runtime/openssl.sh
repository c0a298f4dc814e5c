#!/bin/sh
# A static OpenSSL in $out, with what a TLS client needs. usage: openssl.sh
set -eu
. "$(dirname "$0")/env.sh"
"$here/unpack.sh" openssl
cd "$work/openssl"
# shellcheck disable=SC2086  # lists of flags
quietly openssl-configure ./Configure $openssl --prefix=/usr --libdir=lib --openssldir=/etc/ssl \
    no-shared no-module no-dso no-engine no-legacy no-apps no-docs no-tests \
    no-ssl3 no-weak-ssl-ciphers no-comp no-dtls no-quic no-srp no-gost no-cmp no-autoload-config \
    -g0 $harden -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections
quietly openssl make -j "$jobs" build_libs
mkdir -p "$out/lib" "$out/include"
cp libssl.a libcrypto.a "$out/lib/"
cp -R include/openssl "$out/include/"
