#!/bin/sh
# Makes systemd the PID 1 of the namespaces that it is called in (tests/e2e/box.py). From the environment: BOX, a
# folder for its file systems; BOX_CGROUP, a cgroup of its own; BOX_CONSOLE, a terminal; BOX_BIND, folders of this
# machine to show read-only below /mnt; BOX_MASK, units not to start.
set -eu

if [ "${1-}" != inside ]; then
    echo 0 > "$BOX_CGROUP/cgroup.procs"  # only this process: the root of what systemd sees as the cgroups
    exec unshare --cgroup -- "$0" inside
fi

# A view of this machine's files; what is written goes into memory.
mount -t tmpfs -o mode=755 box "$BOX"
mkdir "$BOX/upper" "$BOX/work" "$BOX/root"
mount -t overlay -o "lowerdir=/,upperdir=$BOX/upper,workdir=$BOX/work" box "$BOX/root"
cd "$BOX/root"

mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys  # this machine keeps its settings
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup

mount -t tmpfs -o mode=755,nosuid tmpfs dev
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 autofs:10:235; do
    numbers=${device#*:}
    mknod -m 666 "dev/${device%%:*}" c "${numbers%:*}" "${numbers#*:}"
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "fd/${number%:*}" "dev/${number#*:}"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
touch dev/console
mount --bind "$BOX_CONSOLE" dev/console
for place in run:755 tmp:1777 dev/shm:1777; do
    mount -t tmpfs -o "mode=${place#*:},nosuid,nodev" tmpfs "${place%:*}"
done

units=etc/systemd/system
mkdir -p "$units"
rm -rf "$units"/*.wants  # nothing that is enabled on this machine
# Nor what feedsvc has here, where this machine has it as a service.
rm -rf "$units"/feedsvc.* opt/feedsvc etc/feedsvc var/lib/feedsvc srv/feedsvc etc/sysusers.d/feedsvc.conf \
    etc/tmpfiles.d/feedsvc.conf
for file in passwd shadow group gshadow; do
    [ ! -e "etc/$file" ] || sed -i -E '/^feedsvc(-drop)?:/d' "etc/$file"
done
for unit in $BOX_MASK; do
    ln -sf /dev/null "$units/$unit"
done
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' > "$units/box.target"

for folder in $BOX_BIND; do  # not in their own places: in /tmp, systemd may end the mounts
    mkdir -p "mnt$folder"
    mount --rbind "$folder" "mnt$folder"
    mount -o remount,bind,ro "mnt$folder"
done

mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
mount --make-rshared /  # as systemd does itself where it is not in a container
exec env -i container=box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /lib/systemd/systemd --system systemd.unit=box.target systemd.show_status=false
