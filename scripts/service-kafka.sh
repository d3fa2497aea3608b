#!/bin/sh
# service-kafka.sh: brings Kafka, which runs by itself (KRaft).
exec "$(dirname "$0")/maven-service.sh" kafka 3.9.1 "some 46 MB" org.apache.kafka:kafka_2.13:3.9.1
