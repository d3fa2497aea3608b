#!/bin/sh
# install.sh VENV EXTRAS STAMP...: makes the virtual environment if there is none that works, installs this checkout
# into it (editable) with the extras named, and leaves the stamps by which make knows.
set -eu
venv=$1 extras=$2
shift 2
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "IoTSense needs Python 3.11 or newer; '$python' is not. Name another one: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$venv"
    if ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        echo "'$python -m venv' failed; on Debian or Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "installing iotsense[$extras] into $venv ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
rm -f "$venv"/.ready-*
touch "$@"
