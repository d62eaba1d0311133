#!/bin/bash
# What starts Spark's pods, as the entrypoint of Spark's own image does. The driver is known by its address: where
# there is no DNS, nobody finds it by the name of its Service. On a machine that is quick it stays until the agent, which
# reports every thirty seconds, has certainly reported it.
set -euo pipefail
role=$1
shift
case "$role" in
  driver)
    status=0
    "$SPARK_HOME/bin/spark-submit" --deploy-mode client \
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
      --conf "spark.driver.host=$SPARK_DRIVER_BIND_ADDRESS" "$@" || status=$?
    [ "$SECONDS" -ge 40 ] || sleep $((40 - SECONDS))
    exit "$status"
    ;;
  executor)
    mapfile -t options < <(env | sed -n 's/^SPARK_JAVA_OPT_[0-9]*=//p')
    exec java "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$SPARK_HOME/jars/*" \
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  *)
    exec "$role" "$@"
    ;;
esac
