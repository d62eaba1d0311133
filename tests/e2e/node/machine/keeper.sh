#!/usr/bin/env bash
# Keeps the namespaces of a node as long as standard input is open, then leaves the machine as it was:
# keeper.sh FOLDER NAME
#
# The node has cgroups of its own, NAME in each hierarchy, which it takes for the roots; its own mounts and its own
# process ids. The kernel ends every process of the node with the first one, inside.sh, which reads this script's
# standard input: it ends with whoever started this script, however that one ends.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1 name=$2
trap '' HUP INT TERM

# Where each hierarchy is mounted.
hierarchies=$(awk '$0 ~ / - cgroup2? / {print $5}' /proc/self/mountinfo)

# What was killed with the first process is gone in a moment.
clean() {
  for hierarchy in $hierarchies; do
    for _ in $(seq 200); do
      [ -d "$hierarchy/$name" ] || break
      find "$hierarchy/$name" -depth -type d -exec rmdir {} + 2> /dev/null && break
      sleep 0.05
    done
  done
  rm -rf "$folder/var"
}
trap clean EXIT

for hierarchy in $hierarchies; do
  mkdir "$hierarchy/$name"
  # A set of CPUs and memory nodes has to be there before the first process.
  for file in cpuset.cpus cpuset.mems; do
    [ ! -f "$hierarchy/$file" ] || cat "$hierarchy/$file" > "$hierarchy/$name/$file"
  done
  # Beside the machine's processes all of the node weighs as much as all pods do beside those of a real node.
  [ ! -f "$hierarchy/cpu.shares" ] || echo $((1024 * $(nproc))) > "$hierarchy/$name/cpu.shares"
done

(
  for hierarchy in $hierarchies; do
    echo "$BASHPID" > "$hierarchy/$name/cgroup.procs"
  done
  exec unshare --cgroup --mount --propagation private --pid --fork --kill-child "$here/inside.sh" "$folder"
) || echo "keeper: the node ended with $?" >&2
