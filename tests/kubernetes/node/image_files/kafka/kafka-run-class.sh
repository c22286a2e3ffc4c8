#!/bin/bash
# Runs a class of Kafka's, as the script of this name in Kafka's own distribution does.
exec /opt/java/bin/java ${KAFKA_HEAP_OPTS:--Xms128m -Xmx256m} ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC} \
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
  -cp "/opt/kafka/libs/*" "$@"
