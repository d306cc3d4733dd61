# The installer in two parts: a boot stage of kernel, busybox, network cards and agent; and an image, the root file system of the installer itself.
{
  store,
  debian,
  kernel,
  installer,
}:
let
  inherit (installer.system) build;
  zstd = debian.run "zstd" "zstd";
  modules = kernel.modules "boot-stage" "virtio_pci virtio_net e1000 e1000e igb";

  stage =
    store.mk "initrd-boot-stage"
      {
        inherit modules;
        inherit (store) busybox;
        tree = debian.installer;
        parts = ./fleet;
      }
      ''
        mkdir r; cd r
        mkdir -p stage/bin usr/bin usr/sbin usr/lib/x86_64-linux-gnu usr/lib64 usr/lib/modules
        for d in bin sbin lib lib64; do ln -s usr/$d $d; done
        cp -a $modules/lib/modules/. usr/lib/modules/; chmod -R u+w usr/lib/modules
        cp -a $tree/usr/lib64/. usr/lib64/
        for lib in ld-linux-x86-64 libc libm libdl libpthread libstdc++ libgcc_s libzstd liblz4 libz liblzma; do
          cp -a $tree/usr/lib/x86_64-linux-gnu/$lib.so* usr/lib/x86_64-linux-gnu/
        done
        cp $tree/usr/bin/zstd stage/bin/
        cp $busybox/bin/busybox stage/busybox
        cp $parts/lease stage/lease; cp $parts/rdinit init
        chmod 755 stage/* init
        find . | sort | cpio -o -H newc -R 0:0 2>/dev/null | ${zstd} -q -T0 -12 > ../initrd
        cd ..; mkdir $out; mv initrd $out/
      '';
  bootStage = store.mk "boot-stage" { inherit stage; agent = build.initrdAgent; } ''
    mkdir $out; cat $stage/initrd $agent/initrd > $out/initrd
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
          inherit bootStage;
          image = build.kernel;
        }
        ''
          mkdir $out
          ln -s $image/bzImage $out/kernel
          ln -s $bootStage/initrd $out/initrd
          ln -s $initrdBase/initrd $out/image
          ln -s $toplevel/kernel-params $out/kernel-params
          ln -s $toplevel/init $out/init
        '';
    };
  };
}
