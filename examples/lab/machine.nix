# One machine: a system in NixOS's shape that boots from its own disk, and the script that partitions that disk.
{
  store,
  debian,
  kernel,
  system,
}:
name: settings:
let
  parts = import ./system.nix { inherit store; };
  crypt = import ./crypt.nix { inherit store debian; };
  encrypted = settings.encrypted or false;
  diskModules = parts.diskModules + (if encrypted then " ${crypt.modules}" else "");
  device = settings.device or "/dev/disk/by-id/virtio-${settings.serial}";
  modules = kernel.modules "machine" parts.allModules;
  etc = parts.etc name ./machine/etc "sshd.service booted.service";
  initrd =
    store.mk "initrd-machine"
      {
        modules = kernel.modules "initrd" diskModules;
        init = ./machine/stage-1;
        unlock = if encrypted then crypt.unlock else "";
      }
      ''
        mkdir -p r/bin r/lib r/proc r/sys r/dev r/mnt; cd r
        cp -a ${store.busybox}/bin/. bin/; chmod -R u+w bin
        cp -r $modules/lib/modules lib/
        [ -z "$unlock" ] || { cp -a $unlock/. .; chmod -R u+w .; }
        sed "s|@modules@|${diskModules}|" $init > init; chmod 755 init
        find . | sort | cpio -o -H newc -R 0:0 2>/dev/null | ${debian.run "zstd" "zstd"} -q -19 > ../initrd
        cd ..; mkdir $out; mv initrd $out/
      '';
  keys = settings.authorizedKeys or [ ];

  toplevel =
    store.mk "nixos-system-${name}"
      {
        inherit
          etc
          initrd
          modules
          device
          ;
        image = kernel.image;
        init = ./machine/stage-2;
        loader = ./machine/switch-to-configuration;
        params = builtins.concatStringsSep " " parts.kernelParams;
        keys = builtins.concatStringsSep "\n" keys;
      }
      ''
        mkdir -p $out/bin
        fill() {
          sed -e "s|@out@|$out|g" -e "s|@modules@|$modules|g" -e "s|@device@|$device|g" -e "s|@name@|${name}|g" \
            -e "s|@busybox@|${store.busybox}|g" -e "s|@debian@|${debian.machine}|g" -e "s|@loaders@|${debian.loaders}|g" $1 > $2
          chmod 755 $2
        }
        fill $init $out/init
        fill $loader $out/bin/switch-to-configuration
        cp -r $etc $out/etc; chmod -R u+w $out/etc
        if [ -n "$keys" ]; then mkdir -p $out/etc/ssh/authorized_keys.d; printf '%s\n' "$keys" > $out/etc/ssh/authorized_keys.d/root; fi
        ln -s $image/bzImage $out/kernel
        ln -s $initrd/initrd $out/initrd
        printf %s "$params" > $out/kernel-params
        printf %s ${system} > $out/system
        printf %s lab > $out/nixos-version
      '';
  disk =
    script: file:
    store.text script true {
      inherit device;
      inherit (crypt) modules;
    } file;
in
{
  networking.hostName = name;
  nixpkgs.hostPlatform.system = system;
  boot.kernelParams = parts.kernelParams;
  system.boot.loader.kernelFile = "bzImage";
  users.users.root.openssh.authorizedKeys.keys = keys;
  disko.devices.disk.main.device = device;
  system.build = {
    inherit toplevel;
    kernel = kernel.image;
    diskoScript = disk "disko" (if encrypted then ./machine/disko-luks else ./machine/disko);
    mountScript = disk "disko-mount" (if encrypted then ./machine/disko-mount-luks else ./machine/disko-mount);
  };
}
