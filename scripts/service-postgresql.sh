#!/bin/sh
# service-postgresql.sh: brings PostgreSQL, Debian's. The cluster that the package would start is not needed: tests start their own.
set -eu
directory=$(dirname "$0")
server() {
    ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null || command -v postgres
}

server >/dev/null && exit 0
# The package starts a cluster of its own if it may create one; nobody here would use it.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
"$directory/debian-packages.sh" postgresql
if ! server >/dev/null; then
    echo "installed, but not found afterwards: postgres" >&2
    exit 1
fi
