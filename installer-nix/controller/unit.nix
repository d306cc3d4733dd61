# nixie.service: no user, no home, one capability. It opens its own sockets, each bound to its interface, which needs only the right to ports
# below 1024: that binding is free to everybody since Linux 5.7.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.nixie;
  hosts = import ./hosts.nix { inherit lib; };
  credentials = "/run/credentials/nixie.service";
  hostsJson = pkgs.writeText "hosts.json" (builtins.toJSON (lib.mapAttrs (_: hosts.toJson credentials) cfg.hosts));
  installers =
    if lib.isString cfg.installer then
      [ cfg.installer ]
    else
      lib.mapAttrsToList (system: ref: "${system}=${ref}") cfg.installer;
  flag = name: value: [
    "--${name}"
    value
  ];
  optionalFlag = name: value: lib.optionals (value != null) (flag name value);
  arguments =
    flag "flake" cfg.flake
    ++ lib.concatMap (flag "installer") installers
    ++ flag "hosts" (if cfg.hostsFile != null then cfg.hostsFile else "/etc/nixie/hosts.json")
    ++ flag "state" "/var/lib/nixie"
    ++ flag "dhcp" (if cfg.dhcp.mode == "range" then "range=${toString cfg.dhcp.from}-${toString cfg.dhcp.to}" else cfg.dhcp.mode)
    ++ flag "jobs" (toString cfg.jobs)
    ++ lib.concatMap (flag "interface") cfg.interfaces
    ++ optionalFlag "address" cfg.address
    ++ optionalFlag "ipxe" cfg.ipxeDir
    ++ lib.optionals (cfg.sshKeyFile != null) (flag "ssh-key" "${credentials}/ssh-key")
    ++ lib.concatLists (lib.mapAttrsToList (name: seconds: flag "${name}-timeout" (toString seconds)) cfg.timeouts)
    ++ cfg.extraArgs;
in
{
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc."nixie/hosts.json" = lib.mkIf (cfg.hostsFile == null) { source = hostsJson; };

    systemd.services.nixie = {
      description = "Nixie controller";
      documentation = [ "file:${cfg.package}/share/doc/nixie/README.md" ];
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "nix-daemon.socket"
      ];
      # Other hosts are read without an interruption; installations go on.
      reloadTriggers = lib.optional (cfg.hostsFile == null) hostsJson;
      environment = {
        # nix, git and ssh want one, and nixos-anywhere ends at once without it.
        HOME = "/var/lib/nixie";
        TMPDIR = "/var/lib/nixie/tmp";
        NIX_REMOTE = "daemon";
      };
      serviceConfig = {
        ExecStartPre = "${pkgs.coreutils}/bin/mkdir -p -m 0700 /var/lib/nixie/tmp";
        # systemd has its own signs: % and $
        ExecStart = lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (
          lib.escapeShellArgs (
            [
              (lib.getExe' cfg.package "nixie")
              "serve"
            ]
            ++ arguments
          )
        );
        ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
        Restart = "on-failure";
        RestartSec = 5;
        # Usage or configuration: the same arguments would end the same way.
        RestartPreventExitStatus = "2";
        # installations are told, agents keep their machines as they are
        TimeoutStopSec = 60;
        KillMode = "mixed";

        LoadCredential =
          lib.mapAttrsToList (name: path: "${name}:${path}") cfg.credentials
          ++ lib.optional (cfg.sshKeyFile != null) "ssh-key:${cfg.sshKeyFile}";
        EnvironmentFile = lib.mkIf (cfg.environmentFile != null) cfg.environmentFile;

        DynamicUser = true;
        StateDirectory = "nixie";
        StateDirectoryMode = "0700";
        AmbientCapabilities = [ "CAP_NET_BIND_SERVICE" ];
        CapabilityBoundingSet = [ "CAP_NET_BIND_SERVICE" ];
        LimitNOFILE = 65536;

        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          # the list of interfaces
          "AF_NETLINK"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
        # a program is told no, not killed
        SystemCallErrorNumber = "EPERM";
        UMask = "0077";
        # JavaScript is compiled while it runs: no MemoryDenyWriteExecute.
      };
    };
  };
}
