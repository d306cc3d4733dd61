# services.nixie-agent.fleet: the image in two parts. Kernel and initrd are a boot stage with the agent inside; the store in its squashfs is what
# machines fetch from each other (docs/fleet.md). In stage 1 the agent gets it, checks each chunk by the hash on the kernel command line, and
# goes on handing it to others when the system has started.
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
  # /run moves over from stage 1 into the system, and so does what is mounted below it
  folder = "/run/nixie-image";
  store = "${folder}/nix-store.squashfs";
  agent = lib.getExe' cfg.package "nixie-agent";
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
  };

  config = lib.mkIf cfg.fleet.enable {
    boot.initrd.systemd = {
      enable = true;
      network = {
        enable = true;
        # as in the system: one address for firmware, stage 1 and system
        networks."10-nixie" = {
          matchConfig.Type = "ether";
          networkConfig.DHCP = "yes";
          dhcpV4Config.ClientIdentifier = "mac";
        };
      };
      storePaths = [ agent ];
      # by it the agent says that the image is there
      extraBin.systemd-notify = "${pkgs.systemd}/bin/systemd-notify";
      services.nixie-image = {
        description = "Image of the installer, from other machines and the controller";
        requiredBy = [ "sysroot-nix-.ro\\x2dstore.mount" ];
        before = [
          "sysroot-nix-.ro\\x2dstore.mount"
          "shutdown.target"
        ];
        conflicts = [ "shutdown.target" ];
        unitConfig = {
          DefaultDependencies = false;
          # It outlives the change into the system: its executable and its file are open.
          IgnoreOnIsolate = true;
        };
        serviceConfig = {
          Type = "notify";
          NotifyAccess = "all";
          # the `@` keeps it from the killing at the end of stage 1
          ExecStart = lib.concatStringsSep " " (
            [
              "@${agent}"
              "@nixie-agent"
              "--fetch"
              store
              "--serve"
            ]
            ++ lib.optionals (cfg.fleet.uploadLimit != null) [
              "--upload-limit"
              (toString cfg.fleet.uploadLimit)
            ]
          );
          TimeoutStartSec = "15min";
          KillMode = "none";
          SurviveFinalKillSignal = true;
          OOMScoreAdjust = -900;
        };
      };
      # What is in memory may be most of it.
      mounts = [
        {
          what = "tmpfs";
          where = folder;
          type = "tmpfs";
          options = "mode=0755,size=90%";
          wantedBy = [ "nixie-image.service" ];
          before = [ "nixie-image.service" ];
          unitConfig.DefaultDependencies = false;
        }
      ];
    };

    # netboot.nix looks for it in the initrd, and says so for the whole of it
    fileSystems."/nix/.ro-store" = lib.mkOverride 50 {
      fsType = "squashfs";
      device = store;
      options = [ "loop" ];
      neededForBoot = true;
    };

    system.build.nixie = lib.mkForce (
      pkgs.runCommand "nixie-fleet-installer-${pkgs.stdenv.hostPlatform.system}" { } ''
        mkdir $out
        ln -s ${build.kernel}/${boot.loader.kernelFile} $out/kernel
        ln -s ${build.initialRamdisk}/initrd $out/initrd
        ln -s ${build.squashfsStore} $out/image
        ln -s ${build.toplevel}/kernel-params $out/kernel-params
        ln -s ${build.toplevel}/init $out/init
      ''
    );
  };
}
