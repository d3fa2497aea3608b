#!/bin/sh
# maven-service.sh NAME VERSION SIZE GROUP:ARTIFACT:VERSION...: brings a Java server by Maven, since no package registry of an operating
# system has it. It then stays in ${XDG_CACHE_HOME:-~/.cache}/iotsense/NAME/VERSION/lib. Needs Java 17 and Maven, and installs them where it may.
set -eu
directory=$(dirname "$0")
name=$1 version=$2 size=$3
shift 3
home=${XDG_CACHE_HOME:-$HOME/.cache}/iotsense/$name/$version

# The folder gets its name when all of it is there, so that one cut short is fetched anew.
[ -d "$home/lib" ] && command -v java >/dev/null && exit 0

wanted=
command -v java >/dev/null || wanted="openjdk-17-jre-headless"
[ -d "$home/lib" ] || command -v mvn >/dev/null || wanted="$wanted maven"
# shellcheck disable=SC2086 # they are words
[ -z "$wanted" ] || "$directory/debian-packages.sh" $wanted || exit 1
[ -d "$home/lib" ] && exit 0

echo "fetching $name $version ($size) ..."
mkdir -p "$home"
log=$home/fetch.log
{
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo "<groupId>iotsense</groupId><artifactId>$name</artifactId><version>1</version><packaging>pom</packaging><dependencies>"
    for coordinates in "$@"; do
        echo "$coordinates" | sed 's,\(.*\):\(.*\):\(.*\),<dependency><groupId>\1</groupId><artifactId>\2</artifactId><version>\3</version></dependency>,'
    done
    echo '</dependencies></project>'
} >"$home/pom.xml"
rm -rf "$home/lib.part"
if ! mvn --quiet --batch-mode --file "$home/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$home/lib.part" -DincludeScope=runtime >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "$name could not be fetched by Maven; the whole story is in $log" >&2
    exit 1
fi
mv "$home/lib.part" "$home/lib"
