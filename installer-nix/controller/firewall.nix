# The doors: DHCP (67), TFTP (69), PXE (4011); HTTP (7480), agents (7481).
{ config, lib, ... }:
let
  cfg = config.services.nixie;
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
  config = lib.mkIf (cfg.enable && cfg.openFirewall) {
    networking.firewall = if cfg.interfaces == [ ] then ports else { interfaces = lib.genAttrs cfg.interfaces (_: ports); };
  };
}
