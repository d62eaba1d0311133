# Packages of Debian that a script of the tests needs. To be sourced by bash scripts that have a function `say`.

# What the caller left open is closed: mmdebstrap would come to pipes of two digits, which dash does not take.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-

# lacks COMMAND: whether it is neither on the PATH nor where Debian keeps what is root's.
lacks() { ! command -v "$1" > /dev/null && [ ! -x "/usr/sbin/$1" ]; }

# install_packages PACKAGE...: as root, by apt-get; otherwise it says what is missing, and ends the script. INSTEAD is
# said with it: what else would do.
install_packages() {
  [ $# -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    say "missing: install $* (names of Debian)${INSTEAD:-}"
    exit 1
  fi
  say "installing $*"
  apt-get update -qq >&2
  # RUNLEVEL: no package starts a service of its own; tests start theirs.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}
