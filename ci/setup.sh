#!/bin/sh
# Makes the development environment: system packages (when root), a virtual environment, pinned tools.
# usage: ci/setup.sh VENV
set -eu
venv=$1
here=$(dirname "$0")

"$here/system-packages.sh" "$here/packages.txt"

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
