#!/usr/bin/env bash
# Builds cert-manager's controller and cainjector where they are not there yet, and prints their folder, which
# has the CustomResourceDefinitions, too. Needs go; the first build takes about two minutes of CPU, a second none.
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/versions.sh"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/colocation-webhook/control-plane/cert-manager-$CERT_MANAGER"
module=github.com/cert-manager/cert-manager

mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9
if [ ! -e "$cache/complete" ]; then
  command -v go > /dev/null || {
    echo "cert-manager: building needs go on the PATH (https://go.dev/dl)" >&2
    exit 1
  }
  echo "control-plane: building cert-manager" >&2
  mkdir -p "$cache/module"
  cd "$cache/module"
  rm -rf go.mod go.sum ../crds
  go mod init control-plane.local/cert-manager 2> /dev/null
  # Replacements of a dependency's go.mod do not count: they are said again.
  source=$(go mod download -json "$module@v$CERT_MANAGER" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  sed -n 's/^replace \([^ ]*\) \([^ ]*\) => \([^ ]*\) \([^ ]*\)$/\1@\2=\3@\4/p' "$source/go.mod" |
    while read -r replacement; do go mod edit "-replace=$replacement"; done
  go get -tool "$module/cmd/controller@v$CERT_MANAGER" "$module/cmd/cainjector@v$CERT_MANAGER" 2> get.log || {
    cat get.log >&2
    exit 1
  }
  for name in controller cainjector; do
    go build -o "$cache/$name" -ldflags "-s -w" "$module/cmd/$name"
  done
  mkdir ../crds
  cp "$source"/deploy/crds/*.yaml ../crds
  touch "$cache/complete"
fi
printf '%s\n' "$cache"
