# The installer: a netboot image whose initrd stays the root file system.
{
  store,
  debian,
  kernel,
  artefacts,
  system,
}:
let
  parts = import ./system.nix { inherit store; };
  crypt = import ./crypt.nix { inherit store debian; };
  name = "nixie-installer";
  modules = kernel.modules "installer" "${parts.allModules} ${crypt.modules}";
  etc = parts.etc name ./installer/etc "sshd.service lab-key.service nixie-agent.service";
  zstd = debian.run "zstd" "zstd";

  toplevel =
    store.mk "nixos-system-${name}"
      {
        inherit etc;
        image = kernel.image;
        init = ./installer/init;
        params = builtins.concatStringsSep " " parts.kernelParams;
      }
      ''
        mkdir $out
        sed "s|@out@|$out|" $init > $out/init; chmod 755 $out/init
        ln -s $image/bzImage $out/kernel
        ln -s $etc $out/etc
        printf %s "$params" > $out/kernel-params
        printf %s ${system} > $out/system
        printf %s lab > $out/nixos-version
      '';

  # Two archives, one behind the other, as the kernel takes them: the agent changes often and the rest seldom.
  base =
    store.mk "initrd-base"
      {
        inherit toplevel modules etc;
        tree = debian.installer;
        tools = ./installer/bin;
        rdinit = ./installer/rdinit;
      }
      ''
        mkdir r; cd r
        cp -a $tree/. .; chmod -R u+w .
        mkdir -p nix/store nix/var/nix proc sys dev run tmp var/tmp var/log var/lib mnt root usr/lib/modules
        chmod 1777 tmp var/tmp; chmod 700 root; ln -s ../run var/run
        cp -a $modules/lib/modules/. usr/lib/modules/
        # the system without its kernel, which no running machine needs
        cp -a $toplevel $etc nix/store/
        cp -a $etc etc; chmod -R u+w etc; chmod 600 etc/shadow
        cp $tools/* usr/bin/; chmod 755 usr/bin/*
        cp $rdinit init; chmod 755 init
        find . | sort | cpio -o -H newc -R 0:0 2>/dev/null | ${zstd} -q -T0 -12 > ../initrd
        cd ..; mkdir $out; mv initrd $out/
      '';
  agent = store.mk "initrd-agent" { agent = store.file artefacts.agent; } ''
    mkdir -p r/usr/bin; cp $agent r/usr/bin/nixie-agent; chmod 755 r/usr/bin/nixie-agent; cd r
    find . | sort | cpio -o -H newc -R 0:0 2>/dev/null | ${zstd} -q -T0 -12 > ../initrd
    cd ..; mkdir $out; mv initrd $out/
  '';
  netbootRamdisk = store.mk "netboot-initrd" { inherit base agent; } ''
    mkdir $out; cat $base/initrd $agent/initrd > $out/initrd
  '';
in
{
  networking.hostName = name;
  nixpkgs.hostPlatform.system = system;
  boot.kernelParams = parts.kernelParams;
  system.boot.loader.kernelFile = "bzImage";
  system.nixos.variant_id = "installer";
  system.build = {
    inherit toplevel netbootRamdisk;
    kernel = kernel.image;
    # for fleet.nix, which puts them together in another way
    initrdBase = base;
    initrdAgent = agent;
    # all that a boot server needs, in one output
    nixie = store.mk "nixie-bundle" { inherit toplevel netbootRamdisk; image = kernel.image; } ''
      mkdir $out
      ln -s $image/bzImage $out/kernel
      ln -s $netbootRamdisk/initrd $out/initrd
      ln -s $toplevel/kernel-params $out/kernel-params
      ln -s $toplevel/init $out/init
    '';
  };
}
