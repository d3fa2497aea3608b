#!/bin/sh
# services.sh: brings the programs that tests and benchmarks talk to. Quick when they are there; installs Debian packages when it may;
# otherwise says what to type. Exit status 1 if something is missing afterwards.
set -eu
# Debian keeps servers where an ordinary user's PATH does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# program -> the Debian package that has it
packages="
mosquitto     mosquitto
mosquitto_pub mosquitto-clients
openssl       openssl
chromium      chromium
gcc           gcc
wrk           wrk
"

lacking() {
    echo "$packages" | while read -r program package; do
        [ -z "$program" ] || have "$program" || echo "$package"
    done
}

have() {
    case $1 in
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
    gcc) echo 'int main(void) { return 0; }' | gcc -include stdio.h -x c -fsyntax-only - ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

wanted=$(lacking | tr '\n' ' ')
[ -n "$wanted" ] || exit 0

install="apt-get install --yes --no-install-recommends $wanted"
case $wanted in *gcc*) install="$install libc6-dev" ;; esac
if ! command -v apt-get >/dev/null; then
    echo "missing: $wanted- this is no Debian or Ubuntu: install them with your system's package manager" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    echo "missing: $wanted- as root: apt-get update && $install" >&2
    exit 1
fi

echo "installing $wanted..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive $install; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "could not be installed: $wanted" >&2
    exit 1
fi
wanted=$(lacking | tr '\n' ' ')
if [ -n "$wanted" ]; then
    echo "installed, but not found afterwards: $wanted" >&2
    exit 1
fi
