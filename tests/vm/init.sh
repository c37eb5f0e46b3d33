#!/bin/busybox sh
# Pid 1 of the virtual machine: loads modules, mounts the host's / read-only with pure cgroup v2 on
# it, and runs the checks. `/settings` says where the project and its Python are, and which checks
# are wanted.
#
# It ends in the host's / by switch_root, not by chroot: there, the kernel refuses user namespaces.
b=/bin/busybox
. /settings

$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for module in /modules/*; do
  $b insmod "$module" || echo "init: $module was refused"
done
$b ifconfig lo 127.0.0.1 up

$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /new ||
  echo "init: the host's / was not mounted"
for name in proc sysfs:sys devtmpfs:dev; do
  $b mount -t "${name%:*}" none "/new/${name#*:}"
done
$b mount -t cgroup2 none /new/sys/fs/cgroup
$b mkdir -p /new/dev/shm
for folder in /tmp /var/tmp /dev/shm /run; do
  $b mount -t tmpfs -o mode=1777 none "/new$folder"
done
$b mount -t ext4 /dev/vda /new/mnt || echo "init: the disk was not mounted"
$b mkdir /new/mnt/memory
$b mount -t tmpfs -o mode=1777 none /new/mnt/memory
$b chmod 1777 /new/mnt

# Nothing may be executed after the power is off: the host's / is gone then.
exec $b switch_root /new /bin/sh -c '
  cd "$1" || exit
  export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
  echo "VM-BEGIN $(uname -r)"
  "$2" -m tests.vm.guest $3
  echo "VM-END $?"
  echo o > /proc/sysrq-trigger
  while :; do :; done' sh "$repository" "$python" "$wanted" </dev/console >/dev/console 2>&1
