#!/usr/bin/env bash
# Makes what a virtual machine needs to be a node, where it is not there yet, and prints its folder: root.qcow2, kernel,
# initrd and the key for ssh. As root it installs QEMU and mmdebstrap.
#
# The root is Debian 12 with systemd, containerd and runc, and the control plane's own kubelet and kubectl. It is made anew when
# this file or the kubelet's version changes. The first run takes some minutes, a second one none.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../control-plane/versions.sh"
. "$here/../../debian.sh"
key=$(cat "$0" "$here/../control-plane/versions.sh" | sha256sum | cut -c1-12)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/colocation-webhook/vm/kubernetes-$KUBERNETES-$key"

say() { printf 'vm: %s\n' "$*" >&2; }

declare -A of=(
  [qemu-system-x86_64]=qemu-system-x86 [qemu-img]=qemu-utils [mmdebstrap]=mmdebstrap [mke2fs]=e2fsprogs
  [ssh]=openssh-client [setpriv]=util-linux
)
packages=()
for name in "${!of[@]}"; do
  ! lacks "$name" || packages+=("${of[$name]}")
done
! lacks cc || packages+=(gcc libc6-dev)
install_packages "${packages[@]}"

mkdir -p "$folder"
# Two runs at once would make the same thing twice.
exec 9> "$folder/lock"
flock 9
if [ -f "$folder/root.qcow2" ]; then
  printf '%s\n' "$folder"
  exit
fi
if [ "$(id -u)" != 0 ]; then
  say "making the root of a virtual machine needs root"
  exit 1
fi

binaries=$("$here/../control-plane/build.sh")
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
rm -f "$folder"/id "$folder"/id.pub
ssh-keygen -q -t ed25519 -N '' -C node -f "$folder/id"

# What is put into the root.
files="$work/files"
install -D -m 755 -t "$files/usr/local/bin" "$binaries/kubelet" "$binaries/kubectl"
install -D -m 600 "$folder/id.pub" "$files/root/.ssh/authorized_keys"
mkdir -p "$files/etc/systemd/network" "$files/etc/ssh/sshd_config.d" "$files/etc/systemd/system"
# The addresses of QEMU's user network.
printf '[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\n' \
  > "$files/etc/systemd/network/eth0.network"
printf 'UseDNS no\nUsePAM no\nMaxSessions 64\n' > "$files/etc/ssh/sshd_config.d/node.conf"
printf 'node\n' > "$files/etc/hostname"
printf '127.0.0.1 localhost\n10.0.2.15 node\n' > "$files/etc/hosts"
# Started by whoever has configured it.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer systemd-pstore.service systemd-timesyncd.service getty@tty1.service serial-getty@ttyS0.service \
  systemd-update-utmp.service; do
  ln -s /dev/null "$files/etc/systemd/system/$unit"
done
# A small initrd, unpacked quickly: what the root disk needs.
mkdir -p "$work/initramfs"
printf 'MODULES=list\nCOMPRESS=lz4\n' > "$work/initramfs/node"

leave_out=()
for part in doc info locale man; do
  leave_out+=("--dpkgopt=path-exclude=/usr/share/$part/*")
done
include=systemd,systemd-sysv,dbus,udev,kmod,iproute2,mount,openssh-server,ca-certificates
include+=,linux-image-cloud-amd64,initramfs-tools,lz4,containerd,runc,containernetworking-plugins
say "making the root of a virtual machine"
# What mmdebstrap mounts goes with the namespace, also where it is killed.
TMPDIR="$work" unshare --mount --propagation private mmdebstrap --quiet --variant=minbase "--include=$include" "${leave_out[@]}" \
  --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
  --essential-hook="copy-in '$work/initramfs/node' /etc/initramfs-tools/conf.d" \
  --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" > "$1/etc/initramfs-tools/modules"' \
  --customize-hook="cp -rT '$files' \"\$1\"" \
  --customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd ssh' \
  --customize-hook='chroot "$1" systemctl --quiet disable containerd' \
  --customize-hook='chroot "$1" update-initramfs -u' \
  --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*' \
  bookworm "$work/root" >&2
cp "$work"/root/boot/vmlinuz-* "$folder/kernel"
cp "$work"/root/boot/initrd.img-* "$folder/initrd"
rm -rf "$work"/root/boot/*
mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 -d "$work/root" "$work/root.raw" 8G >&2
qemu-img convert -f raw -O qcow2 "$work/root.raw" "$work/root.qcow2"
mv "$work/root.qcow2" "$folder/root.qcow2"
printf '%s\n' "$folder"
