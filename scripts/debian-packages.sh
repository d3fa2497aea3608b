#!/bin/sh
# debian-packages.sh PACKAGE...: installs Debian packages where it may; otherwise says what to type. Exit status 1 if it did not.
set -eu
install="apt-get install --yes --no-install-recommends $*"
if ! command -v apt-get >/dev/null; then
    echo "missing: $* - this is no Debian or Ubuntu: install them with your system's package manager" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "missing: $* - as root: apt-get update && $install" >&2
    exit 1
fi
echo "installing $* ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "could not be installed: $*" >&2
    exit 1
fi
