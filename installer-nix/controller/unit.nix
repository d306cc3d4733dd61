# nixie.service: no user, no home, and of root's rights none. The sockets below port 1024 are handed over by systemd (sockets.nix); where no
# interface is named it finds them itself and opens its own, which needs the right to such ports: binding to an interface is free to everybody
# since Linux 5.7. Hearing what other DHCP servers say needs a packet socket, and that is a right to all that passes by: it has to be asked for.
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
  hostsJson = pkgs.writeText "hosts.json" (
    builtins.toJSON (
      lib.optionalAttrs (cfg.subnets != [ ]) { "$subnets" = map hosts.subnetToJson cfg.subnets; }
      // lib.mapAttrs (_: hosts.toJson credentials) cfg.hosts
    )
  );
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
    ++ optionalFlag "relay-listen" cfg.relayListen
    ++ lib.optionals (cfg.sshKeyFile != null) (flag "ssh-key" "${credentials}/ssh-key")
    ++ lib.concatLists (lib.mapAttrsToList (name: seconds: flag "${name}-timeout" (toString seconds)) cfg.timeouts)
    ++ cfg.extraArgs;
  capabilities =
    lib.optional (cfg.interfaces == [ ]) "CAP_NET_BIND_SERVICE" ++ lib.optional cfg.hearOtherServers "CAP_NET_RAW";
  hardening = import ../hardening.nix;
  sockets = map (interface: "nixie-${interface}.socket") cfg.interfaces;
in
{
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc."nixie/hosts.json" = lib.mkIf (cfg.hostsFile == null) { source = hostsJson; };

    systemd.services.nixie = {
      description = "Nixie controller";
      documentation = [ "man:nixie(8)" ];
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "nix-daemon.socket"
      ]
      ++ sockets;
      requires = sockets;
      # Other hosts are read without an interruption; installations go on.
      reloadTriggers = lib.optional (cfg.hostsFile == null) hostsJson;
      environment = {
        # nix, git and ssh want one, and nixos-anywhere ends at once without it.
        HOME = "/var/lib/nixie";
        TMPDIR = "/var/lib/nixie/tmp";
        NIX_REMOTE = "daemon";
      };
      serviceConfig = hardening // {
        # It is the child systemd-notify that speaks: Node has no datagram sockets of AF_UNIX.
        Type = "notify";
        NotifyAccess = "all";
        # As long as DHCP and TFTP answer. Installations go on when it is started again.
        WatchdogSec = 120;
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
        # Said also when there are none: without the line it is all of them.
        AmbientCapabilities = lib.concatStringsSep " " capabilities;
        CapabilityBoundingSet = lib.concatStringsSep " " capabilities;
        LimitNOFILE = 65536;
        # DHCP's thread comes before the others: firmware waits a second.
        LimitNICE = -10;

        RestrictAddressFamilies = hardening.RestrictAddressFamilies ++ lib.optional cfg.hearOtherServers "AF_PACKET";
      };
    };
  };
}
