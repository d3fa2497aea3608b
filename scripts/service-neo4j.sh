#!/bin/sh
# service-neo4j.sh: brings Neo4j Community with Neo4j Browser.
exec "$(dirname "$0")/maven-service.sh" neo4j 5.26.0 "some 140 MB" \
    org.neo4j:neo4j:5.26.0 org.neo4j.app:neo4j-server:5.26.0 org.neo4j.client:neo4j-browser:5.24.0
