#!/bin/sh
# service-node.sh: brings the servers and clients of other people that are written in JavaScript, by npm. Some 100 MB; they then stay in
# ${XDG_CACHE_HOME:-~/.cache}/iotsense/node/KEY/node_modules, where KEY stands for the list below. Needs Node.js 18.
set -eu
directory=$(dirname "$0")
packages="node-opcua@2.182.2 modbus-serial@8.0.25 @bacnet-js/client@3.3.2 coap@1.5.0 aedes@1.2.0 mqtt@5.16.0 kafkajs@2.2.4 sparkplug-client@3.2.4 sparkplug-payload@1.0.3 ws@8.18.3 typescript@5.9.3 openapi-typescript@7.13.0 oidc-provider@9.5.1 graphql@16.15.0 graphql-ws@6.4.2 graphql-sse@2.6.1"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iotsense/node
home=$cache/$(echo "$packages" | cksum | cut -d' ' -f1)

wanted=
command -v node >/dev/null || wanted="nodejs"
[ -d "$home/node_modules" ] || command -v npm >/dev/null || wanted="$wanted npm"
# shellcheck disable=SC2086 # they are words
[ -z "$wanted" ] || "$directory/debian-packages.sh" $wanted || exit 1
[ -d "$home/node_modules" ] && exit 0

echo "fetching peers written in JavaScript (some 100 MB) ..."
# The folder gets its name when all of it is there, so that one cut short is fetched anew.
rm -rf "$home.part"
mkdir -p "$home.part"
log=$cache/fetch.log
# shellcheck disable=SC2086 # they are words
if ! npm install --prefix "$home.part" --no-audit --no-fund --ignore-scripts $packages >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "npm could not fetch them; the whole story is in $log" >&2
    exit 1
fi
mv "$home.part" "$home"
