#!/bin/sh
# service-influxdb.sh: builds InfluxDB 2.7 from its Go module, since Debian's is 1.6. Some minutes the first time; the program then
# stays in ${XDG_CACHE_HOME:-~/.cache}/iotsense/influxdb. Needs Go, a C compiler and Rust (its query language's parser).
set -eu
version=v2.7.11
cache=${XDG_CACHE_HOME:-$HOME/.cache}/iotsense/influxdb
program=$cache/influxd-$version
PATH=$PATH:/usr/local/go/bin:$HOME/.cargo/bin

[ -x "$program" ] && exit 0
command -v influxd >/dev/null && influxd version 2>/dev/null | grep -q 'InfluxDB v\?2\.' && exit 0
for tool in go cargo gcc; do
    if ! command -v "$tool" >/dev/null; then
        echo "missing: $tool, which builds InfluxDB 2.7; or install influxd 2.7 from its maker" >&2
        exit 1
    fi
done

echo "building InfluxDB $version, which takes some minutes ..."
source=$cache/source
mkdir -p "$cache/bin" "$source"
log=$cache/build.log
cat >"$source/main.go" <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/influxdata/influxdb/v2/cmd/influxd/launcher"
	_ "github.com/influxdata/influxdb/v2/tsdb/engine/tsm1"
	_ "github.com/influxdata/influxdb/v2/tsdb/index/tsi1"
	"github.com/spf13/viper"
)

func main() {
	command, err := launcher.NewInfluxdCommand(context.Background(), viper.New())
	if err == nil {
		err = command.Execute()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
GO
# A copy of the replacement that InfluxDB's own go.mod has: those of a dependency do not count.
cat >"$source/go.mod" <<MOD
module influxd

go 1.22

require github.com/influxdata/influxdb/v2 $version

replace github.com/nats-io/nats-streaming-server v0.11.2 => github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803
MOD
# Its Rust part denies warnings that newer compilers have added.
printf '#!/bin/sh\nexec "$@" --cap-lints=warn\n' >"$cache/bin/rustc-lenient"
chmod +x "$cache/bin/rustc-lenient"
build() {
    # InfluxData's pkg-config builds the Rust part on the way; it must come first.
    GOBIN=$cache/bin go install github.com/influxdata/pkg-config@latest
    cd "$source"
    go mod tidy
    PATH="$cache/bin:$PATH" PKG_CONFIG="$cache/bin/pkg-config" RUSTUP_TOOLCHAIN="${RUSTUP_TOOLCHAIN:-stable}" \
        RUSTC_WRAPPER="$cache/bin/rustc-lenient" go build -o "$program.new" .
    mv "$program.new" "$program"
}
if ! (build) >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "InfluxDB could not be built; the whole story is in $log" >&2
    exit 1
fi
