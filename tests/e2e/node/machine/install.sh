#!/usr/bin/env bash
# Installs what a real node needs beside the kubelet, where it is not there yet: Debian's containerd and runc, and
# a C compiler for the images. Says which are missing where it cannot; the first run takes about twenty seconds.
set -euo pipefail

say() { printf 'node: %s\n' "$*" >&2; }

packages=()
for name in containerd runc; do
  command -v "$name" > /dev/null || [ -x "/usr/sbin/$name" ] || packages+=("$name")
done
command -v cc > /dev/null || packages+=(gcc libc6-dev)
[ ${#packages[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  say "missing: install ${packages[*]} (names of Debian)"
  exit 1
fi
say "installing ${packages[*]}"
apt-get update -qq >&2
# RUNLEVEL: no service is started where the machine has some; tests start their own.
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
