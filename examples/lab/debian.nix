# Folder trees from Debian packages: /usr merged, documentation and other ballast left out.
{ store, artefacts }:
let
  tree =
    name: debs:
    store.mk name { debs = map store.file debs; } ''
      for deb in $debs; do dpkg-deb -x $deb t; done
      chmod -R u+w t
      mkdir -p $out; mv t/usr t/etc $out/; cd $out
      for d in bin sbin lib lib64; do
        mkdir -p usr/$d; [ ! -d $OLDPWD/t/$d ] || cp -a $OLDPWD/t/$d/. usr/$d/
        ln -s usr/$d $d
      done
      rm -rf etc; mkdir -p usr/lib/modules
      rm -rf usr/include usr/games usr/local usr/src usr/lib/x86_64-linux-gnu/gconv usr/lib/x86_64-linux-gnu/security
      rm -rf usr/lib/udev/hwdb.d usr/lib/udev/hwdb.bin usr/lib/systemd/catalog usr/lib/valgrind usr/lib/modules-load.d
      rm -rf usr/lib/systemd/boot usr/lib/environment.d usr/lib/kernel usr/lib/sysusers.d
      (cd usr/share; for d in *; do case $d in dbus-1|misc|nix) ;; *) rm -rf $d ;; esac; done)
      (cd usr/lib/systemd/system-generators; for g in *; do case $g in *-fstab-*) ;; *) rm $g ;; esac; done)
      # rules for cameras, keyboards, sound, seats: the lab's machines have none
      (cd usr/lib/udev/rules.d; rm -f *alsa* *audio* *autosuspend* *camera* *cdrom* *evdev* *fido* *joystick* *mouse* *seat* *sensor*)
      (cd usr/lib/udev/rules.d; rm -f *sound* *touchpad* *uaccess* *v4l* *infiniband* *input* *drm* *power-switch* *btrfs* *xen* *libata*)
      (cd usr/lib/openssh && rm -f ssh-keysign ssh-pkcs11-helper ssh-sk-helper)
      (cd usr/bin && rm -f ssh-add ssh-agent ssh-keyscan pzstd systemd-repart)
      (cd usr/sbin && rm -f tc arpd rdma devlink tipc dcb vdpa genl rtmon debugfs cfdisk fsck.minix)
      (cd usr/lib/x86_64-linux-gnu && rm -f libdb-* libmvec.so* libicui18n.so* libicuio.so* libicutu.so* libicutest.so* libgnutlsxx.so*)
      # a store path has no special bits, and busybox's cp would stumble over them
      find . -type f -perm /6000 -exec chmod ug-s {} +
    '';
in
rec {
  # What an installed machine runs.
  machine = tree "debian-machine" artefacts.debs.machine;
  # The same and nix, the tools to partition, the agent's libraries.
  installer = tree "debian-installer" (artefacts.debs.machine ++ artefacts.debs.installer);
  # syslinux (BIOS) and systemd-boot (UEFI): the programs that are copied to a disk, no more.
  loaders =
    store.mk "boot-loaders"
      {
        efi = store.file artefacts.debs.systemd-boot-efi;
        bios = store.file artefacts.debs.syslinux-common;
        extlinux = store.file artefacts.debs.extlinux;
      }
      ''
        mkdir -p $out; for d in $efi $bios $extlinux; do dpkg-deb -x $d t; done
        cp t/usr/lib/systemd/boot/efi/systemd-bootx64.efi t/usr/lib/syslinux/mbr/gptmbr.bin t/usr/bin/extlinux $out/
        cp t/usr/lib/syslinux/modules/bios/ldlinux.c32 $out/ || true
      '';

  # Runs usr/bin/FILE of the tree as PROGRAM during a build, by its own loader and libraries.
  run =
    file: program:
    "${installer}/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --argv0 ${program}"
    + " --library-path ${installer}/usr/lib/x86_64-linux-gnu ${installer}/usr/bin/${file}";
}
