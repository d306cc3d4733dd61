# What the installer and the machines have in common: kernel words, module lists, systemd without the parts that the lab has no use for.
{
  store,
}:
{
  kernelParams = [
    "console=ttyS0,115200"
    "loglevel=4"
    "panic=10"
    "random.trust_cpu=on"
    "8250.nr_uarts=1"
    "systemd.show_status=false"
    "systemd.gpt_auto=0"
  ];

  # to find and mount a disk
  diskModules = "virtio_pci virtio_blk virtio_scsi sd_mod nvme ahci ext4 crc32c_intel";
  # all that a machine of the lab may have
  allModules =
    "virtio_pci virtio_net virtio_blk virtio_scsi virtio_rng sd_mod sr_mod nvme ahci e1000 e1000e igb usb_storage xhci_pci "
    + "ext4 vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8 efivarfs autofs4 loop dm_mod qemu_fw_cfg crc32c_intel";

  # /etc: the common files, a folder of its own files over them, units switched on and off, the host's name.
  etc =
    name: own: enabled:
    store.mk "etc-${name}" { inherit own enabled; common = ./common/etc; } ''
      mkdir -p $out
      cp -r $common/. $out/; chmod -R u+w $out
      cp -r $own/. $out/; chmod -R u+w $out
      printf '%s\n' ${name} > $out/hostname
      printf '127.0.0.1 localhost\n127.0.1.1 %s\n' ${name} > $out/hosts
      : > $out/machine-id
      cd $out/systemd/system
      ln -s /usr/lib/systemd/system/multi-user.target default.target
      mkdir multi-user.target.wants network-online.target.wants
      ln -s /usr/lib/systemd/system/systemd-networkd.service multi-user.target.wants/
      for unit in $enabled; do ln -s ../$unit multi-user.target.wants/; done
      # any one interface online is online
      mkdir systemd-networkd-wait-online.service.d
      ln -s /usr/lib/systemd/system/systemd-networkd-wait-online.service network-online.target.wants/
      printf '[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any --timeout=120\n' \
        > systemd-networkd-wait-online.service.d/any.conf
      # under emulation each device costs some milliseconds, and there are a hundred terminals
      mkdir systemd-udev-trigger.service.d
      printf '[Service]\nExecStart=\nExecStart=-udevadm trigger --type=subsystems --action=add\nExecStart=-udevadm trigger %s\n' \
        '--type=devices --action=add --subsystem-nomatch=tty --subsystem-nomatch=vc --subsystem-nomatch=acpi' \
        > systemd-udev-trigger.service.d/few.conf
      for unit in \
        dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
        sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount getty@tty1.service serial-getty@ttyS0.service \
        console-getty.service systemd-logind.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
        systemd-hwdb-update.service systemd-firstboot.service systemd-sysusers.service systemd-machine-id-commit.service \
        systemd-random-seed.service systemd-journal-flush.service systemd-journal-catalog-update.service \
        systemd-update-done.service systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-pcrphase-initrd.service \
        systemd-pcrmachine.service systemd-boot-system-token.service systemd-binfmt.service systemd-backlight@.service \
        systemd-rfkill.service systemd-ask-password-console.path systemd-ask-password-wall.path systemd-tmpfiles-clean.timer \
        ldconfig.service first-boot-complete.target e2scrub_all.timer e2scrub_reap.service fstrim.timer ssh.service \
        systemd-user-sessions.service systemd-fsck-root.service systemd-remount-fs.service getty-static.service \
        modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
        modprobe@loop.service modprobe@dm_mod.service kmod-static-nodes.service; do
        ln -s /dev/null $unit
      done
    '';
}
