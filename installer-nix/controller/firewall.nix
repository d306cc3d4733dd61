# The doors: DHCP (67), TFTP (69), PXE (4011); HTTP (7480), agents (7481). Relays (7482) may come from elsewhere.
{ config, lib, ... }:
let
  cfg = config.services.nixie;
  relays = lib.any (one: one.relay != null) (lib.attrValues cfg.hosts ++ cfg.subnets);
  ports = {
    allowedUDPPorts = [
      67
      69
      4011
    ];
    allowedTCPPorts = [
      7480
      7481
    ]
    ++ lib.optional (relays && cfg.relayListen == null) 7482;
  };
in
{
  config = lib.mkIf (cfg.enable && cfg.openFirewall) {
    networking.firewall = lib.mkMerge [
      (if cfg.interfaces == [ ] then ports else { interfaces = lib.genAttrs cfg.interfaces (_: ports); })
      (lib.mkIf (cfg.relayListen != null) { allowedTCPPorts = [ 7482 ]; })
    ];
  };
}
