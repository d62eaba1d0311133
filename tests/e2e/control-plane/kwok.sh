#!/usr/bin/env bash
# Builds kwok, which plays kubelet for nodes without machines, where it is not there yet, and prints its folder;
# what it does with nodes and pods is in it, too. Needs go; the first build takes about two minutes of CPU.
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/versions.sh"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/colocation-webhook/control-plane/kwok-$KWOK"
module=sigs.k8s.io/kwok

mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9
if [ ! -e "$cache/complete" ]; then
  command -v go > /dev/null || {
    echo "kwok: building needs go on the PATH (https://go.dev/dl)" >&2
    exit 1
  }
  echo "control-plane: building kwok" >&2
  mkdir -p "$cache/module" "$cache/stages"
  cd "$cache/module"
  rm -f go.mod go.sum
  go mod init control-plane.local/kwok 2> /dev/null
  go get -tool "$module/cmd/kwok@v$KWOK" 2> get.log || {
    cat get.log >&2
    exit 1
  }
  go build -o "$cache/kwok" -ldflags "-s -w" "$module/cmd/kwok"
  source=$(go list -m -f '{{.Dir}}' "$module")
  # Nodes become ready and report every ten minutes, as kubelets do that renew Leases; pods run at once.
  for name in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease pod/fast/pod-ready pod/fast/pod-delete; do
    install -m 644 "$source/kustomize/stage/$name.yaml" "$cache/stages"
  done
  touch "$cache/complete"
fi
printf '%s\n' "$cache"
