#!/usr/bin/env bash
# Builds the image with docker or buildah, whichever works here: image/build.sh NAME [FLAG of the build ...]
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
shift
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
flags=(
  --tag "$name"
  --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH"
  --label "org.opencontainers.image.created=$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
  --label "org.opencontainers.image.revision=$(git rev-parse HEAD)"
)
if docker info > /dev/null 2>&1; then
  exec docker build "${flags[@]}" "$@" .
elif command -v buildah > /dev/null; then
  # OCI's own format has no place for the health check; layers of an earlier build would be of its time.
  exec buildah build --format docker --layers=false --timestamp "$SOURCE_DATE_EPOCH" "${flags[@]}" "$@" .
fi
echo "image: install docker (and start it) or buildah" >&2
exit 1
