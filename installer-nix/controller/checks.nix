# What can be told to be wrong before anything runs. The program checks the rest of a hosts file when it reads it.
{ config, lib, ... }:
let
  cfg = config.services.nixie;
  hosts = import ./hosts.nix { inherit lib; };
  plain = mac: builtins.replaceStrings [ ":" "-" "." ] [ "" "" "" ] (lib.toLower mac);
  macsOf = h: lib.optional (h.macAddress != null) h.macAddress ++ h.macAddresses;
  # Two sites may have the same MAC.
  siteOf =
    h:
    let
      subnet = lib.findFirst (s: h.subnet != null && (s.cidr == h.subnet || s.relay == h.subnet)) { relay = null; } cfg.subnets;
    in
    if h.relay != null then h.relay else subnet.relay;
  # Of one host the same address may stand in both options.
  all = lib.concatLists (
    lib.mapAttrsToList (
      name: h:
      map (mac: {
        inherit name mac;
        site = siteOf h;
      }) (lib.unique (map plain (macsOf h)))
    ) cfg.hosts
  );
  same = one: other: other.mac == one.mac && other.site == one.site && other.name != one.name;
  twice = lib.unique (map (one: one.mac) (lib.filter (one: lib.any (same one) all) all));
  owners = mac: lib.concatMapStringsSep ", " (one: one.name) (lib.filter (one: one.mac == mac) all);
  named = lib.concatMap hosts.sourcesOf (lib.attrValues cfg.hosts);
  credentials = map (lib.removePrefix "credential:") (lib.filter (lib.hasPrefix "credential:") named);
  unknown = lib.filter (name: !(cfg.credentials ? ${name})) credentials;
  timeouts = [
    "build"
    "probe"
    "wake"
    "boot"
    "check"
    "disko"
    "copy"
    "install"
    "reboot"
    "proof"
  ];
  strange = lib.filter (name: !(lib.elem name timeouts)) (lib.attrNames cfg.timeouts);
  inStore = lib.filter (lib.hasPrefix "${builtins.storeDir}/") (
    lib.attrValues cfg.credentials ++ lib.optional (cfg.sshKeyFile != null) cfg.sshKeyFile
  );
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = twice == [ ];
        message = "services.nixie.hosts: no two hosts may have one MAC address: ${
          lib.concatMapStringsSep "; " (mac: "${mac} is of ${owners mac}") twice
        }";
      }
      {
        assertion = lib.all (h: macsOf h != [ ]) (lib.attrValues cfg.hosts);
        message = "services.nixie.hosts: every host needs macAddress or macAddresses, missing at ${
          lib.concatStringsSep ", " (lib.filter (name: macsOf cfg.hosts.${name} == [ ]) (lib.attrNames cfg.hosts))
        }";
      }
      {
        assertion = lib.all (one: builtins.match "[0-9a-f]{12}" one.mac != null) all;
        message = "services.nixie.hosts: not a MAC address: ${
          lib.concatMapStringsSep ", " (one: "${one.mac} of ${one.name}") (
            lib.filter (one: builtins.match "[0-9a-f]{12}" one.mac == null) all
          )
        }";
      }
      {
        assertion = (cfg.hosts != { }) != (cfg.hostsFile != null);
        message = "services.nixie: give either hosts or hostsFile";
      }
      {
        assertion = cfg.subnets == [ ] || cfg.hostsFile == null;
        message = "services.nixie.subnets: hostsFile has its own, as $subnets";
      }
      {
        assertion = (cfg.dhcp.mode == "range") == (cfg.dhcp.from != null && cfg.dhcp.to != null);
        message = "services.nixie.dhcp: from and to belong to mode \"range\", and it needs both";
      }
      {
        assertion = unknown == [ ];
        message = "services.nixie.credentials: no entry for ${lib.concatStringsSep ", " unknown}";
      }
      {
        assertion = !(cfg.credentials ? ssh-key);
        message = "services.nixie.credentials: the name ssh-key is taken by sshKeyFile";
      }
      {
        assertion = inStore == [ ];
        message = "services.nixie: keys in the store can be read by everybody: ${lib.concatStringsSep ", " inStore}";
      }
      {
        assertion = strange == [ ];
        message = "services.nixie.timeouts: found ${lib.concatStringsSep ", " strange}, accepted: ${lib.concatStringsSep ", " timeouts}";
      }
    ];
  };
}
