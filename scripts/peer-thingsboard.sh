#!/bin/sh
# peer-thingsboard.sh: brings thingsboard-gateway, which `make bench` measures itself against, into a virtual environment of its own
# (some 100 MB): ${XDG_CACHE_HOME:-~/.cache}/iotsense/thingsboard/VERSION. Prints the path of its program.
set -eu
version=3.8.5
home=${XDG_CACHE_HOME:-$HOME/.cache}/iotsense/thingsboard/$version
program=$home/bin/thingsboard-gateway
if [ ! -e "$home/complete" ]; then
    rm -rf "$home"
    "${PYTHON:-python3}" -m venv "$home" >&2
    "$home/bin/pip" install -q --disable-pip-version-check "thingsboard-gateway==$version" >&2
    touch "$home/complete"
fi
echo "$program"
