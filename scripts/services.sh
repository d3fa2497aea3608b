#!/bin/sh
# services.sh: brings the programs that tests and benchmarks talk to. Quick when they are there; installs Debian packages when it may;
# otherwise says what to type. A server that takes more than a package has a script of its own, service-NAME.sh.
# Exit status 1 if something is missing afterwards.
set -eu
directory=$(dirname "$0")
# Debian keeps servers where an ordinary user's PATH does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# program -> the Debian package that has it
packages="
mosquitto     mosquitto
mosquitto_pub mosquitto-clients
openssl       openssl
curl          curl
chromium      chromium
gcc           gcc
wrk           wrk
rabbitmqctl   rabbitmq-server
amqp-publish  amqp-tools
coap-client-openssl libcoap3-bin
mbpoll        mbpoll
socat         socat
mcs           mono-mcs
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

status=0
wanted=$(lacking | tr '\n' ' ')
if [ -n "$wanted" ]; then
    case $wanted in *gcc*) wanted="$wanted libc6-dev" ;; esac
    # shellcheck disable=SC2086 # they are words
    "$directory/debian-packages.sh" $wanted || status=1
    wanted=$(lacking | tr '\n' ' ')
    if [ "$status" = 0 ] && [ -n "$wanted" ]; then
        echo "installed, but not found afterwards: $wanted" >&2
        status=1
    fi
fi
# One that cannot be had does not keep the others away.
for script in "$directory"/service-*.sh; do
    "$script" || status=1
done
exit $status
