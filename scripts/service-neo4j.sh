#!/bin/sh
# service-neo4j.sh: brings Neo4j Community with Neo4j Browser by Maven, since no package registry of an operating system has it.
# Some 140 MB the first time; they then stay in ${XDG_CACHE_HOME:-~/.cache}/iotsense/neo4j/VERSION/lib. Needs Java 17 and Maven.
set -eu
directory=$(dirname "$0")
version=5.26.0
browser=5.24.0
home=${XDG_CACHE_HOME:-$HOME/.cache}/iotsense/neo4j/$version

# The folder gets its name when all of it is there, so that one cut short is fetched anew.
[ -d "$home/lib" ] && command -v java >/dev/null && exit 0

wanted=
command -v java >/dev/null || wanted="openjdk-17-jre-headless"
[ -d "$home/lib" ] || command -v mvn >/dev/null || wanted="$wanted maven"
# shellcheck disable=SC2086 # they are words
[ -z "$wanted" ] || "$directory/debian-packages.sh" $wanted || exit 1
[ -d "$home/lib" ] && exit 0

echo "fetching Neo4j $version (some 140 MB) ..."
mkdir -p "$home"
log=$home/fetch.log
cat >"$home/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>iotsense</groupId>
  <artifactId>neo4j</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.neo4j.client</groupId><artifactId>neo4j-browser</artifactId><version>$browser</version></dependency>
  </dependencies>
</project>
POM
rm -rf "$home/lib.part"
if ! mvn --quiet --batch-mode --file "$home/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$home/lib.part" -DincludeScope=runtime >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "Neo4j could not be fetched by Maven; the whole story is in $log" >&2
    exit 1
fi
mv "$home/lib.part" "$home/lib"
