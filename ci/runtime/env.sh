# shellcheck shell=sh disable=SC2034  # sourced by every step, which use what they need
# What the steps share. Each step runs by hand from anywhere: ci/runtime/openssl.sh

# Debian's release whose sources are built, and the packages taken from it.
suite=trixie
packages='zlib openssl python3.13'
python=3.13

# The architecture, by Debian's name, and the glibc of the oldest host that the program must start on: the compiler gives no
# newer symbols. CentOS 6 has 2.12; glibc knows arm64 since 2.17, which CentOS 7 has.
ARCH=${ARCH:-amd64}
case $ARCH in
    amd64) triple=x86_64-linux-gnu floor=2.12 openssl=linux-x86_64 ;;
    arm64) triple=aarch64-linux-gnu floor=2.17 openssl=linux-aarch64 ;;
    *) echo "runtime: ARCH is amd64 or arm64, not $ARCH" >&2 && exit 2 ;;
esac

# Whole-program optimisation, and the hardening that the budget allows: docs/runtime.md has the figures.
lto=-flto=thin
training='-fprofile-generate -mllvm -disable-vp=true -mllvm -enable-name-compression=false'
harden='-fPIE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2'
harden_link='-Wl,-z,relro -Wl,-z,now'

here=$(cd "$(dirname "$0")" && pwd)
venv=$(realpath -m "${VENV:-$here/../../.venv}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pdagent
sources=$cache/sources         # Debian's archives, kept: mirrors drop old versions
toolchain=$cache/toolchain     # compilers, by the hash of requirements.txt
work=${RUNTIME_WORK:-$cache/runtime-work-$ARCH} # trees being built; build.sh removes them
out=$work/out                  # what becomes the runtime

umask 022
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
unset PYTHONPATH PYTHONHOME CFLAGS CPPFLAGS LDFLAGS MAKEFLAGS MAKELEVEL
# __DATE__, and what ar and zip write: nothing in the program may depend on when it was built.
export SOURCE_DATE_EPOCH=1700000000
PATH=$work/bin:$PATH
# Short names found by PATH, so that no directory of this machine is recorded by OpenSSL or Python.
export CC=cc CXX=c++ AR=ar RANLIB=ranlib
export ZIG_GLOBAL_CACHE_DIR="$work/zig" ZIG_LOCAL_CACHE_DIR="$work/zig"

jobs=$(nproc)

say() { echo "runtime: $*" >&2; }
die() {
    say "$*"
    exit 1
}
# Runs what makes a lot of noise; shows the end of it only when it fails. usage: quietly LOGNAME COMMAND…
quietly() {
    log=$work/$1.log
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        die "failed: $* (all of it: $log)"
    }
}
# The unpacked sources of a package. usage: tree PACKAGE
tree() { echo "$work/$1"; }
