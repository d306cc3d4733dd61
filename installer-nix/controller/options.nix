{
  lib,
  pkgs,
  config,
  ...
}:
let
  inherit (lib) mkOption mkEnableOption types;
  cfg = config.services.nixie;
  hosts = import ./hosts.nix { inherit lib; };
  # Keys and secrets are named by a string: a path would be copied to the store, which everybody can read.
  outsideStore = types.strMatching "/.+";
in
{
  options.services.nixie = {
    enable = mkEnableOption "Nixie, which turns blank machines of this network into proved NixOS installations";
    package = mkOption {
      type = types.package;
      default = pkgs.nixie;
      defaultText = lib.literalExpression "pkgs.nixie";
      description = "The controller. It brings nixos-anywhere, nix, openssh and iPXE along.";
    };
    flake = mkOption {
      type = types.str;
      example = "git+https://example.org/infrastructure?ref=main";
      description = "Flake reference whose `nixosConfigurations` are installed. A folder must be readable for the service, which has no home and no user of its own: `/etc/nixos` is, a home isn't.";
    };
    installer = mkOption {
      type = types.either types.str (types.attrsOf types.str);
      default = "${cfg.flake}#nixosConfigurations.installer";
      defaultText = lib.literalExpression ''"''${config.services.nixie.flake}#nixosConfigurations.installer"'';
      example = {
        x86_64-linux = ".#nixosConfigurations.installer";
        aarch64-linux = ".#nixosConfigurations.installer-arm";
      };
      description = "The installer image's flake reference, or one for each platform.";
    };
    hosts = mkOption {
      type = types.attrsOf hosts.type;
      default = { };
      example = { machine1.macAddress = "aa:bb:cc:dd:ee:01"; };
      description = "The machines, by name, as in `hosts.json`.";
    };
    subnets = mkOption {
      type = types.listOf hosts.subnetType;
      default = [ ];
      example = [
        {
          cidr = "10.20.0.0/24";
          range = "10.20.0.100-10.20.0.199";
        }
      ];
      description = "Networks that the controller is not in itself, and whose relays send to it; `$subnets` of `hosts.json`.";
    };
    hostsFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/etc/nixos/hosts.json";
      description = "A `hosts.json` to use in place of `hosts`. `systemctl reload nixie` reads it again.";
    };
    interfaces = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9_.:-]{1,15}");
      default = [ ];
      example = [ "enp2s0" ];
      description = "Interfaces on which machines are served. systemd opens the ports below 1024 on them, and the service has no capability. Empty: those that face the network, and the service has CAP_NET_BIND_SERVICE.";
    };
    address = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "This machine's own IPv4 address that machines are told, when the interface has several.";
    };
    dhcp.mode = mkOption {
      type = types.enum [
        "proxy"
        "range"
        "off"
      ];
      default = "proxy";
      description = "`proxy`: beside another DHCP server, which stays as it is. `range`: as the only DHCP server of that network. `off`: neither.";
    };
    dhcp.from = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "10.0.0.100";
      description = "First address of the range.";
    };
    dhcp.to = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "10.0.0.199";
      description = "Last address of the range.";
    };
    hearOtherServers = mkOption {
      type = types.bool;
      default = false;
      description = "Listen to what other DHCP servers offer to the machines, so that `nixie doctor` can name one that is in the way. It gives the service CAP_NET_RAW, by which it could hear and forge every packet of its networks: for as long as you look for a fault.";
    };
    jobs = mkOption {
      type = types.ints.between 1 1000;
      default = 16;
      description = "Installations that write at the same time.";
    };
    timeouts = mkOption {
      type = types.attrsOf types.ints.positive;
      default = { };
      example = { boot = 900; };
      description = "Seconds for `build`, `probe`, `wake`, `boot`, `check`, `disko`, `copy`, `install`, `reboot`, `proof`; see `nixie install --help`.";
    };
    sshKeyFile = mkOption {
      type = types.nullOr outsideStore;
      default = null;
      example = "/etc/nixie/id_ed25519";
      description = "Your SSH key, public or private: let in to the installer, and tried for the proof. A path outside of the store; the service gets it as a credential.";
    };
    credentials = mkOption {
      type = types.attrsOf outsideStore;
      default = { };
      example = { disk = "/run/secrets/disk-key"; };
      description = "Files that secrets of `hosts` name as `credential:NAME`. The service alone can read them, whoever owns them.";
    };
    ipxeDir = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Folder with iPXE's `snponly.efi`, `undionly.kpxe`, `snponly-arm64.efi`. `null`: those of the package.";
    };
    environmentFile = mkOption {
      type = types.nullOr outsideStore;
      default = null;
      description = "Variables for `env:NAME` sources of secrets, one `NAME=value` a line.";
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Open UDP 67, 69 and 4011, TCP 7480 and 7481, on `interfaces` or, when that is empty, on all; and TCP 7482 for relays: on all with `relayListen`, else on the same where a host or a subnet names a relay.";
    };
    relayListen = mkOption {
      type = types.nullOr (types.strMatching "[0-9.]+");
      default = null;
      example = "0.0.0.0";
      description = "IPv4 address at which relays connect, TCP 7482; `null`: the controller's own on `interfaces`.";
    };
    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "--debug" ];
      description = "More arguments for `nixie serve`.";
    };
  };
}
