# services.nixie-agent: for an installer image, ours or any other netboot image. It registers with the controller that its boot script
# named, and does what that one says.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption mkEnableOption types;
  cfg = config.services.nixie-agent;
in
{
  options.services.nixie-agent = {
    enable = mkEnableOption "the agent of Nixie, in an installer image";
    package = mkOption {
      type = types.package;
      default = pkgs.nixie-agent;
      defaultText = lib.literalExpression "pkgs.nixie-agent";
      example = lib.literalExpression "pkgs.nixie-agent-script";
      description = "The agent. `nixie-agent-script` is the same program run by nixpkgs' Node, should the single executable not start.";
    };
    controller = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "192.168.1.2:7481";
      description = "Controller as `ADDRESS:PORT`, several with commas. `null`: as the boot script says (`nixie.controller=` on the kernel command line), which is what an image for all networks needs.";
    };
    refused = mkOption {
      type = types.enum [
        "reboot"
        "wait"
      ];
      default = "reboot";
      description = "What to do when the controller goes on refusing the token of this boot: start the machine again, which gets it a new one, or wait.";
    };
    patience = mkOption {
      type = types.ints.between 1 999999;
      default = 600;
      description = "Seconds before such a reboot.";
    };
    slim = mkOption {
      type = types.bool;
      default = true;
      description = "In Nixie's image: leave out documentation, nixpkgs, compilers, sudo, polkit, and firmware of what is neither a wired network card nor a disk controller.";
    };
    zfs = mkOption {
      type = types.bool;
      default = false;
      description = "In Nixie's image: ZFS, for machines whose disks get it. Some 30 MB, and a kernel that ZFS is built for.";
    };
    facter = mkOption {
      type = types.bool;
      default = !cfg.slim;
      defaultText = lib.literalExpression "!config.services.nixie-agent.slim";
      description = "Bring nixos-facter along, for `nixie inventory --format facter`. Some 20 MB.";
    };
    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "More arguments for `nixie-agent`.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    systemd.services.nixie-agent = {
      description = "Nixie agent";
      wantedBy = [ "multi-user.target" ];
      # Neither behind the network nor behind sshd: it starts beside them, and waits for both by itself.
      # An image that was started in another way is left alone.
      unitConfig = {
        ConditionKernelCommandLine = lib.mkIf (cfg.controller == null) "nixie.controller";
        StartLimitIntervalSec = 0;
      };
      # systemd-notify, systemctl and udevadm are there always; what the system has is not.
      path =
        with pkgs;
        [
          # inventory
          ethtool
          iproute2
          ipmitool
          kmod
          lldpd
          smartmontools
          # letting go of disks that a broken-off install left open
          cryptsetup
          lvm2
          mdadm
          util-linux
        ]
        ++ lib.optional cfg.facter nixos-facter
        ++ lib.optional (config.boot.supportedFilesystems.zfs or false) config.boot.zfs.package;
      environment.HOME = "/root";
      serviceConfig = {
        Type = "notify";
        # It is the child systemd-notify that speaks: Node has no datagram sockets of AF_UNIX.
        NotifyAccess = "all";
        ExecStart = lib.escapeShellArgs (
          [ (lib.getExe' cfg.package "nixie-agent") ]
          ++ lib.optionals (cfg.controller != null) [
            "--controller"
            cfg.controller
          ]
          ++ lib.optionals (cfg.refused != "reboot") [
            "--refused"
            cfg.refused
          ]
          ++ lib.optionals (cfg.patience != 600) [
            "--patience"
            (toString cfg.patience)
          ]
          ++ cfg.extraArgs
        );
        TimeoutStartSec = 120;
        WatchdogSec = 90;
        Restart = "always";
        RestartSec = 2;
        # the last to go when memory is short: without it nobody hears of the machine any more
        OOMScoreAdjust = -900;
      };
    };
  };
}
