#!/bin/sh
# Makes the development environment: system packages (when root), a virtual environment, pinned tools.
# usage: ci/setup.sh VENV
set -eu
venv=$1
here=$(dirname "$0")

# usage: missing PACKAGE...: those that dpkg does not have
missing() {
    for package; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
    done
}

if command -v dpkg-query >/dev/null; then
    # shellcheck disable=SC2046  # one word a package is what is wanted
    wanted=$(missing $(grep -v '^#' "$here/packages.txt"))
    if [ -n "$wanted" ] && [ "$(id -u)" = 0 ]; then
        echo "setup: installing $wanted"
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $wanted >/dev/null
    elif [ -n "$wanted" ]; then
        echo "setup: not root, so these stay missing: $wanted" >&2
        echo "setup: some tests will be skipped; 'sudo apt-get install $wanted' brings them" >&2
    fi
fi

# The system's own python3 first: PyInstaller needs its shared libpython, and test users must be able to run it.
for python in /usr/bin/python3 python3 ''; do
    if [ -z "$python" ]; then
        echo "setup: Python 3.11 or newer with the venv module is needed" >&2
        exit 1
    fi
    "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
done

echo "setup: virtual environment in $venv, with $("$python" --version)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
