#!/usr/bin/env bash
# base.sh FOLDER: makes there, from Debian 12, the two bases that stand in for python:3.11 and python:3.11-slim, where
# they are not there yet, and prints the two files that tell buildah where it works, and the names of the bases. As root
# it installs what it needs for that, and for running the image. The first run takes about two minutes, a second one
# none. The caller sees to it that nobody else uses FOLDER meanwhile: what a run left there that was ended goes.
set -euo pipefail
. "$(dirname "$0")/../debian.sh"
folder=$1
export CONTAINERS_STORAGE_CONF="$folder/storage.conf" CONTAINERS_CONF="$folder/containers.conf"

say() { printf 'image: %s\n' "$*" >&2; }

packages=()
for name in buildah mmdebstrap runc; do
  ! lacks "$name" || packages+=("$name")
done
install_packages "${packages[@]}"

printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$folder/storage" "$folder/run" \
  > "$CONTAINERS_STORAGE_CONF"
# Otherwise buildah makes /etc/cni on this machine.
printf '[network]\nnetwork_config_dir = "%s"\n' "$folder/networks" > "$CONTAINERS_CONF"
buildah rm --all >&2
buildah rmi --prune >&2

# Debian's documents and translations are in neither of Python's images.
leave_out=()
for part in doc info locale man; do
  leave_out+=("--dpkgopt=path-exclude=/usr/share/$part/*")
done

# base NAME PACKAGE...: an image of the packages and what is essential. It is made anew when this file changes.
base() {
  local name="localhost/colocation-webhook-$1:$version" container
  shift
  if ! buildah inspect --type image "$name" > /dev/null 2>&1; then
    say "making $name"
    mmdebstrap --quiet --variant=essential "--include=$(IFS=,; echo "$*")" "${leave_out[@]}" bookworm base.tar >&2
    container=$(buildah from scratch)
    buildah add --quiet "$container" base.tar / >&2
    buildah commit --quiet --rm "$container" "$name" >&2
    rm base.tar
  fi
  printf '%s\n' "$name"
}

version=$(sha256sum "$0" | cut -c1-12)
cd "$folder"
build=$(base build python3 python3-dev python3-venv gcc libc6-dev)
slim=$(base slim python3)
printf '%s\n' "$CONTAINERS_STORAGE_CONF" "$CONTAINERS_CONF" "$build" "$slim"
