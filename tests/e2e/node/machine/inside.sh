#!/usr/bin/env bash
# The first process of a node, in namespaces that keeper.sh made: inside.sh FOLDER. It mounts what is the node's own
# and lives as long as standard input is open. FOLDER/first gets its number outside once everything is in place.
set -euo pipefail
folder=$1
# Still the machine's /proc: this is what the process is called outside.
read -r outside _ < /proc/self/stat

# The node's cgroups are the roots of its cgroup namespace, mounted where the machine has its own.
mounted=$(awk '$0 ~ / - cgroup2? / {split($0, half, " - "); split(half[2], it, " "); print $5, it[1], it[3]}' \
  /proc/self/mountinfo)
umount --recursive /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
while read -r place kind options; do
  mkdir -p "$place"
  options=${options#rw,}
  case "$kind $options" in
    cgroup2\ *) mount -t cgroup2 cgroup2 "$place" ;;
    cgroup\ name=*) mount -t cgroup -o "none,$options" cgroup "$place" ;;
    *) mount -t cgroup -o "$options" cgroup "$place" ;;
  esac
done <<< "$mounted"

# A kubelet writes some of the kernel's parameters: here it writes files of the node, and nobody writes others.
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
for parameter in kernel/panic kernel/panic_on_oops vm/overcommit_memory; do
  file="$folder/sysctl/$parameter"
  mkdir -p "$(dirname "$file")"
  cat "/proc/sys/$parameter" > "$file"
  mount --bind "$file" "/proc/sys/$parameter"
done

# /var/lib/kubelet, /var/lib/containerd, /var/log/pods and whatever else comes to be there.
mkdir -p "$folder/var/lib" "$folder/var/log" "$folder/var/tmp"
ln -sfn /run "$folder/var/run"
mount --bind "$folder/var" /var
mount -t tmpfs -o mode=755 tmpfs /run
mount --make-rshared /

echo "$outside" > "$folder/.first"
mv "$folder/.first" "$folder/first"
read -r _ || true
