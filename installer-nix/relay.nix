# services.nixie-relay: the front doors of a controller in a subnet that it can't reach. It has no user, no home, and of root's rights none: its sockets
# below port 1024 are handed over by systemd.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption mkEnableOption types;
  cfg = config.services.nixie-relay;
  hardening = import ./hardening.nix;
  flag = name: value: [
    "--${name}"
    value
  ];
  arguments =
    flag "token" "/run/credentials/nixie-relay.service/token"
    ++ flag "state" "/var/lib/nixie-relay"
    ++ flag "cache-dir" "/var/cache/nixie-relay"
    ++ flag "cache-size" cfg.cacheSize
    ++ lib.concatMap (flag "interface") cfg.interfaces
    ++ lib.optionals (cfg.controller != null) (flag "controller" cfg.controller)
    ++ cfg.extraArgs;
  sockets = map (interface: "nixie-relay-${interface}.socket") cfg.interfaces;
  # DHCP, TFTP, PXE; HTTP, agents. Nothing comes in from the controller's side.
  ports = {
    allowedUDPPorts = [
      67
      69
      4011
    ];
    allowedTCPPorts = [
      7480
      7481
    ];
  };
in
{
  options.services.nixie-relay = {
    enable = mkEnableOption "the relay of a Nixie controller for the machines of this subnet";
    package = mkOption {
      type = types.package;
      default = pkgs.nixie;
      defaultText = lib.literalExpression "pkgs.nixie";
      description = "Nixie, of which the relay is a part.";
    };
    controller = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "nixie.example.org:7482";
      description = "Controller as `HOST` or `HOST:PORT`; `null`: as the token says.";
    };
    interfaces = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9_.:-]{1,15}");
      example = [ "eth1" ];
      description = "Network interfaces that machines boot on.";
    };
    tokenFile = mkOption {
      type = types.strMatching "/.+";
      example = "/run/secrets/nixie-relay.token";
      description = "File with the join token that `nixie relay-token NAME` made at the controller. The service alone can read it, whoever owns it.";
    };
    cacheSize = mkOption {
      type = types.str;
      default = "20G";
      description = "What its cache in `/var/cache/nixie-relay` may hold, of installers and closures; it survives restarts. Text with K, M, G, T (powers of 1000) or Ki, Mi, … (of 1024), 1G or more.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Open UDP 67, 69, 4011 and TCP 7480, 7481 on these interfaces. The way to the controller is outbound and needs nothing.";
    };
    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--plan-life=30m" ];
      description = "More arguments of `nixie relay`.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.interfaces != [ ];
        message = "services.nixie-relay.interfaces: name the interfaces that machines boot on";
      }
      {
        assertion = !(lib.hasPrefix "${builtins.storeDir}/" cfg.tokenFile);
        message = "services.nixie-relay.tokenFile: a token in the store can be read by everybody: ${cfg.tokenFile}";
      }
      {
        assertion = !(config.services.nixie.enable or false);
        message = "services.nixie-relay: a controller serves its own networks, and both want the same ports";
      }
    ];
    environment.systemPackages = [ cfg.package ];
    networking.firewall = lib.mkIf cfg.openFirewall { interfaces = lib.genAttrs cfg.interfaces (_: ports); };

    # Bound to its interface each, as those of a controller are. They come and go with the service.
    systemd.sockets = lib.listToAttrs (
      map (interface: {
        name = "nixie-relay-${interface}";
        value = {
          description = "The doors of Nixie's relay on ${interface}: DHCP, PXE, TFTP";
          partOf = [ "nixie-relay.service" ];
          socketConfig = {
            Service = "nixie-relay.service";
            BindToDevice = interface;
            ListenDatagram = map (port: "0.0.0.0:${toString port}") [
              67
              4011
              69
            ];
            FreeBind = true;
            Broadcast = true;
            # a burst of many machines that are switched on together
            ReceiveBuffer = "8M";
          };
        };
      }) cfg.interfaces
    );

    systemd.services.nixie-relay = {
      description = "Nixie relay";
      documentation = [ "man:nixie(8)" ];
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ] ++ sockets;
      requires = sockets;
      # for as long as it takes: an interface may get its address late
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = hardening // {
        Type = "notify";
        # It is the child systemd-notify that speaks: Node has no datagram sockets of AF_UNIX.
        NotifyAccess = "all";
        # As long as DHCP and TFTP answer.
        WatchdogSec = 120;
        # systemd has its own signs: % and $
        ExecStart = lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ] (
          lib.escapeShellArgs (
            [
              (lib.getExe' cfg.package "nixie")
              "relay"
            ]
            ++ arguments
          )
        );
        Restart = "on-failure";
        RestartSec = 5;
        # Usage or token: the same arguments would end the same way.
        RestartPreventExitStatus = "2";
        TimeoutStopSec = 15;
        KillMode = "mixed";

        LoadCredential = [ "token:${cfg.tokenFile}" ];
        DynamicUser = true;
        StateDirectory = "nixie-relay";
        StateDirectoryMode = "0700";
        # Apart from the key: backups leave it out, and `systemctl clean --what=cache nixie-relay` empties it.
        CacheDirectory = "nixie-relay";
        CacheDirectoryMode = "0700";
        # Said, and nothing: without the line it is all of them.
        AmbientCapabilities = "";
        CapabilityBoundingSet = "";
        LimitNOFILE = 65536;
        # DHCP's thread comes before the others: firmware waits a second.
        LimitNICE = -10;

        ProtectProc = "invisible";
      };
    };
  };
}
