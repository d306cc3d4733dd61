# An image in two parts. Kernel and initrd are a boot stage of busybox and network drivers; the store in its squashfs and, behind it, NixOS's own initrd
# with the agent are the image, which machines fetch from each other (docs/fleet.md). The boot stage gets that initrd first, by a script; the agent in
# it gets the rest, checks each chunk by the hash on the kernel command line, and goes on handing it to others when the system has started.
# Size that is to be expected of the boot stage for x86_64, not measured with nixpkgs: 18-21 MB. Its kernel has some 13 MB; these drivers of Debian's
# kernel and busybox have 5.0 MB by xz, and firmware adds what the cards of the list ask for, 1-3 MB. arm64's kernel is not compressed: 60 MB.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption mkEnableOption types;
  inherit (config.system) build boot;
  cfg = config.services.nixie-agent;
  # where ../stage/init puts it; /run moves over into the system, and so does what is mounted below it
  image = "/run/nixie-image/image";
  # Of all that a machine runs before it has the image, one program is built here: nixpkgs' own busybox, without a library.
  busybox = pkgs.busybox.override { enableStatic = true; };
  modules = pkgs.makeModulesClosure {
    kernel = config.system.modulesTree;
    firmware = config.hardware.firmware;
    rootModules = [ "af_packet" ] ++ cfg.fleet.networkDrivers;
    allowMissing = true;
  };
  arguments = lib.optionalString (cfg.fleet.uploadLimit != null) "--upload-limit ${toString cfg.fleet.uploadLimit}";
  bootStage =
    pkgs.runCommand "nixie-boot-stage"
      {
        nativeBuildInputs = with pkgs; [
          cpio
          kmod
          xz
          zstd
        ];
      }
      ''
        mkdir -p r/stage/lib $out
        ln -s stage/lib r/lib
        cp ${busybox}/bin/busybox r/stage/busybox
        cp ${../stage/fetch-first} r/stage/fetch-first
        cp ${../stage/lease} r/stage/lease
        cp ${../stage/init} r/init
        printf %s '${arguments}' > r/stage/arguments
        chmod 755 r/init r/stage/busybox r/stage/fetch-first r/stage/lease
        cp -rL --no-preserve=mode ${modules}/lib/. r/stage/lib/
        # the whole is compressed, which is better than each by itself, and busybox need not know how
        find r/stage/lib -name '*.xz' -exec xz -d {} +
        find r/stage/lib -name '*.zst' -exec zstd -q -d --rm {} +
        for version in $(ls r/stage/lib/modules); do depmod -b r/stage "$version"; done
        find r -exec touch -h -d @1 {} +
        (cd r && find . | sort | cpio -o -H newc -R 0:0 --reproducible --quiet) | xz --check=crc32 -6 -T1 > $out/initrd
      '';
in
{
  options.services.nixie-agent.fleet = {
    enable = mkEnableOption "an image in two parts: a boot stage, and the rest, which machines fetch from each other";
    uploadLimit = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 50;
      description = "Most that a machine sends to others, megabytes a second.";
    };
    networkDrivers = mkOption {
      type = types.listOf types.str;
      default = [
        "alx"
        "atl1c"
        "atlantic"
        "be2net"
        "bnx2"
        "bnx2x"
        "bnxt_en"
        "cxgb4"
        "e1000"
        "e1000e"
        "ena"
        "enic"
        "hv_netvsc"
        "i40e"
        "ice"
        "igb"
        "igc"
        "ionic"
        "ixgbe"
        "mlx4_en"
        "mlx5_core"
        "qede"
        "r8169"
        "sfc"
        "tg3"
        "virtio_net"
        "virtio_pci"
        "vmxnet3"
      ];
      description = "Modules of the kernel that the boot stage can reach the network by, with their firmware. Another card needs its own here; fewer make the boot stage smaller.";
    };
  };

  config = lib.mkIf cfg.fleet.enable {
    assertions = [
      {
        assertion = config.boot.initrd.prepend == [ ];
        message = "services.nixie-agent.fleet: the boot stage unpacks NixOS's initrd by gunzip, which takes nothing in front of it: boot.initrd.prepend (updates of microcode use it) has to be empty";
      }
    ];
    boot.initrd = {
      # for busybox's gunzip
      compressor = lib.mkOverride 900 "gzip";
      compressorArgs = lib.mkOverride 900 [ "-9" ];
      # The agent and its libraries come with it. The store is there before it begins.
      systemd.enable = true;
      systemd.extraBin.nixie-agent = lib.getExe' cfg.package "nixie-agent";
    };

    # netboot.nix looks for it in the initrd, and says so for the whole of it
    fileSystems."/nix/.ro-store" = lib.mkOverride 50 {
      fsType = "squashfs";
      device = image;
      options = [ "loop" ];
      neededForBoot = true;
    };

    system.build.nixieBootStage = bootStage;
    system.build.nixie = lib.mkForce (
      pkgs.runCommand "nixie-fleet-installer-${pkgs.stdenv.hostPlatform.system}" { } ''
        mkdir $out
        ln -s ${build.kernel}/${boot.loader.kernelFile} $out/kernel
        ln -s ${bootStage}/initrd $out/initrd
        ln -s ${build.toplevel}/init $out/init
        # The squashfs says itself how long it is; what is fetched first lies behind it, and begins with a chunk.
        first=${build.initialRamdisk}/initrd
        cp --no-preserve=mode ${build.squashfsStore} $out/image
        truncate -s %1048576 $out/image
        at=$(stat -c %s $out/image)
        cat $first >> $out/image
        echo "$(cat ${build.toplevel}/kernel-params) nixie.first=$(sha256sum $first | cut -d ' ' -f 1),$at,$(stat -L -c %s $first)" > $out/kernel-params
      ''
    );
  };
}
