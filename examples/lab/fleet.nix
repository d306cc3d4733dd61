# The installer in two parts: a boot stage of kernel, busybox and network cards; and an image, which holds the installer's own root file system and, as
# its first part, what the boot stage can't go on without: the agent. `stage` is the boot stage of Nixie's NixOS module, laid here by e2e/lab/image.
{
  store,
  debian,
  kernel,
  artefacts,
  installer,
}:
let
  inherit (installer.system) build;
  zstd = debian.run "zstd" "zstd";
  modules = kernel.modules "boot-stage" "virtio_pci virtio_net e1000 e1000e igb";

  bootStage =
    store.mk "boot-stage"
      {
        inherit modules;
        inherit (store) busybox;
        parts = ./stage;
      }
      ''
        mkdir r; cd r
        mkdir -p stage/lib; ln -s stage/lib lib
        cp -a $modules/lib/modules stage/lib/; chmod -R u+w stage
        cp $busybox/bin/busybox $parts/fetch-first $parts/lease stage/; cp $parts/init init
        : > stage/arguments
        chmod 755 stage/busybox stage/fetch-first stage/lease init
        find . | sort | cpio -o -H newc -R 0:0 2>/dev/null | ${zstd} -q -19 > ../initrd
        cd ..; mkdir $out; mv initrd $out/
      '';

  # the agent, its libraries, and what unpacks the rest
  first =
    store.mk "first-part"
      {
        agent = store.file artefacts.agent;
        base = build.initrdBase;
        tree = debian.installer;
        init = ./fleet/init;
      }
      ''
        mkdir r; cd r
        mkdir -p stage/bin usr/bin usr/sbin usr/lib/x86_64-linux-gnu usr/lib64
        for d in bin sbin lib lib64; do ln -s usr/$d $d; done
        cp $agent usr/bin/nixie-agent
        cp -a $tree/usr/lib64/. usr/lib64/
        for lib in ld-linux-x86-64 libc libm libdl libpthread libstdc++ libgcc_s libzstd liblz4 libz liblzma; do
          cp -a $tree/usr/lib/x86_64-linux-gnu/$lib.so* usr/lib/x86_64-linux-gnu/
        done
        cp $tree/usr/bin/zstd stage/bin/zstd; cp $init init
        stat -c %s $base/initrd > stage/rest-bytes
        chmod 755 usr/bin/nixie-agent stage/bin/zstd init
        find . | sort | cpio -o -H newc -R 0:0 2>/dev/null | gzip -9 > ../first
        cd ..; mkdir $out; mv first $out/
      '';
in
installer
// {
  system = installer.system // {
    build = build // {
      netbootRamdisk = bootStage;
      nixie = store.mk "nixie-fleet-bundle"
        {
          inherit (build) toplevel initrdBase;
          inherit bootStage first;
          image = build.kernel;
        }
        ''
          mkdir $out
          ln -s $image/bzImage $out/kernel
          ln -s $bootStage/initrd $out/initrd
          # the first part begins with a chunk
          cp $initrdBase/initrd $out/image; chmod u+w $out/image
          at=$((($(stat -c %s $out/image) + 1048575) / 1048576 * 1048576))
          truncate -s $at $out/image
          cat $first/first >> $out/image
          bytes=$(stat -c %s $first/first)
          sum=$(sha256sum $first/first | cut -d ' ' -f 1)
          printf %s "$(cat $toplevel/kernel-params) nixie.first=$sum,$at,$bytes" > $out/kernel-params
          ln -s $toplevel/init $out/init
        '';
    };
  };
}
