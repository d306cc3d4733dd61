# A blank machine on the test's first LAN: real firmware, network boot, no disk image made for it but an empty one, in the folder that the test
# driver gives it.
{
  pkgs,
  mac,
  firmware,
  diskSerial,
  memory ? 3072,
}:
assert firmware == "bios";
pkgs.writeShellScript "blank-machine" ''
  disk=$TMPDIR/blank.qcow2
  [ -e $disk ] || ${pkgs.qemu}/bin/qemu-img create -q -f qcow2 $disk 8G
  exec ${pkgs.qemu}/bin/qemu-kvm -m ${toString memory} -smp 2 -nographic \
    -drive file=$disk,if=none,id=d0 -device virtio-blk-pci,drive=d0,serial=${diskSerial},bootindex=1 \
    -netdev vde,id=n0,sock=$QEMU_VDE_SOCKET_1 -device virtio-net-pci,netdev=n0,mac=${mac},bootindex=2 \
    -device virtio-rng-pci "$@"
''
