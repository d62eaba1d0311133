#!/usr/bin/env bash
# Installs what a real node needs beside the kubelet, where it is not there yet: Debian's containerd and runc, and
# a C compiler for the images. Says which are missing where it cannot; the first run takes about twenty seconds. With
# --list it names them, and installs none.
set -euo pipefail
. "$(dirname "$0")/../../../debian.sh"

say() { printf 'node: %s\n' "$*" >&2; }

packages=()
for name in containerd runc; do
  ! lacks "$name" || packages+=("$name")
done
! lacks cc || packages+=(gcc libc6-dev)
[ "${1:-}" != --list ] || {
  echo "${packages[*]}"
  exit
}
install_packages "${packages[@]}"
