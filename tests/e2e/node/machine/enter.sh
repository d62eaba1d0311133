#!/usr/bin/env bash
# Runs a command on a node, in its cgroups and namespaces: enter.sh NAME FIRST COMMAND..., FIRST is what is in the
# file of that name.
set -euo pipefail
name=$1 first=$2
shift 2
for hierarchy in $(awk '$0 ~ / - cgroup2? / {print $5}' /proc/self/mountinfo); do
  echo "$$" > "$hierarchy/$name/cgroup.procs"
done
exec nsenter --target "$first" --cgroup --mount --pid --wd=/ "$@"
