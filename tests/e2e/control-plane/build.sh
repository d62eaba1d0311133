#!/usr/bin/env bash
# Builds the control plane that tests/e2e starts, where it is not there yet, and prints its folder.
#
# A binary is taken from KUBEBUILDER_ASSETS if that is set and has it, else from the cache folder, where
# this script builds it from the Go modules. etcd comes from KUBEBUILDER_ASSETS, the PATH, or (as root)
# Debian's etcd-server, and so the Java that spark-submit runs on. Needs go; the first build takes about
# twelve minutes of CPU, a second run none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/versions.sh"
. "$here/../../debian.sh"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/colocation-webhook/control-plane/kubernetes-$KUBERNETES-helm-$HELM"
bin="$cache/bin"
assets="${KUBEBUILDER_ASSETS:-}"

say() { printf 'control-plane: %s\n' "$*" >&2; }

have() { [ -x "$bin/$1" ] || { [ -n "$assets" ] && [ -x "$assets/$1" ]; }; }

need_go() {
  command -v go > /dev/null || {
    say "building needs go on the PATH (https://go.dev/dl), or KUBEBUILDER_ASSETS with the binaries"
    exit 1
  }
}

# A binary appears under its name only when it is whole: an interrupted build leaves nothing behind.
build() {
  local target="$1"
  shift
  say "building $target"
  go build -o "$bin/.$target.part" "$@"
  mv "$bin/.$target.part" "$bin/$target"
}

# k8s.io/kubernetes refers to its staging modules as v0.0.0: a module of our own has to say which release
# of each is meant, once for all that the repository's go.mod names.
kubernetes_module() {
  local module="$cache/kubernetes" names
  mkdir -p "$module"
  cd "$module"
  [ "$(cat complete 2> /dev/null)" = "$*" ] && return
  rm -f go.mod go.sum
  go mod init control-plane.local/kubernetes 2> /dev/null
  names=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p' |
    xargs sed -n 's,^[[:space:]]*\(k8s\.io/[a-z-]*\) v0\.0\.0$,\1,p' | sort -u)
  for name in $names; do
    go mod edit "-replace=$name=$name@v0.${KUBERNETES#*.}"
  done
  go get -tool $(printf "k8s.io/kubernetes/cmd/%s@v$KUBERNETES " "$@")
  printf '%s' "$*" > complete
}

mkdir -p "$bin"
# Two runs at once would build the same thing twice.
exec 9> "$cache/lock"
flock 9

kubernetes=(kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet)
missing=()
for name in "${kubernetes[@]}"; do
  have "$name" || missing+=("$name")
done
if [ ${#missing[@]} -gt 0 ]; then
  need_go
  (
    kubernetes_module "${kubernetes[@]}"
    version=k8s.io/component-base/version
    stamp="-X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=${KUBERNETES%%.*}"
    minor=${KUBERNETES#*.}
    for name in "${missing[@]}"; do
      build "$name" -ldflags "-s -w $stamp -X $version.gitMinor=${minor%.*}" "k8s.io/kubernetes/cmd/$name"
    done
  )
fi

if ! have helm; then
  need_go
  say "building helm"
  GOBIN="$cache/helm" go install -ldflags "-s -w" "helm.sh/helm/v4/cmd/helm@v$HELM"
  mv "$cache/helm/helm" "$bin/helm"
fi

packages=()
have etcd || command -v etcd > /dev/null || packages+=(etcd-server)
command -v java > /dev/null || [ -n "${JAVA_HOME:-}" ] || packages+=(default-jre-headless)
INSTEAD=", or put etcd into KUBEBUILDER_ASSETS" install_packages "${packages[@]}"

printf '%s\n' "$bin"
