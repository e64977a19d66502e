# Makes a machine of its own out of this one's files and starts systemd on it; `rig.machine` runs it, as root and in
# namespaces of its own (mounts, network, processes, control groups). Nothing that it does is seen outside of them.
#   $1  an empty folder        $2  files to lay over this machine's        $3…  FOLDER=PLACE: shown read-only at PLACE
set -eu
work=$1 seed=$2
shift 2

mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"

# As it was before anybody thought of us.
rm -rf etc/asterisk etc/tillit etc/systemd/system/tillit.service opt/tillit var/lib/tillit "var/lib/redis/"*
# What apt knows of newer packages: they could not be fetched.
rm -rf var/lib/apt/lists/*
for folder in root tmp run home; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 "$folder" "$folder"
done
chmod 1777 tmp
for bound in "$@"; do
    mkdir -p ".${bound#*=}"
    mount --bind -o ro "${bound%%=*}" ".${bound#*=}"
done
cp -a "$seed/." .
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id

mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for at in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${at%%:*}" "dev/${at#*:}"; done
mount -t proc proc proc
# The kernel is the other machine's as well: nothing here may set anything of it.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
ip link set lo up

for user in asterisk; do
    chroot . id "$user" >/dev/null 2>&1 || chroot . useradd --system --user-group --home-dir /var/lib/asterisk "$user"
done
chroot . useradd --create-home --shell /bin/bash admin
mkdir -p var/lib/asterisk var/log/asterisk var/spool/asterisk
chroot . chown -R asterisk:asterisk /etc/asterisk /var/lib/asterisk /var/log/asterisk /var/spool/asterisk
chmod 4755 usr/local/lib/rig/as-root

mkdir old
pivot_root . old
umount -l /old
rmdir /old
exec env -i container=rig PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd --unit=rig.target --log-target=console
