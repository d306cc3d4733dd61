# The modules with this flake's packages as their defaults, so that nobody needs the overlay.
{ packagesOf }:
let
  module =
    file: set:
    { lib, pkgs, ... }:
    {
      _file = file;
      imports = [ file ];
      config = set lib (packagesOf pkgs);
    };
  agent = lib: own: { services.nixie-agent.package = lib.mkDefault own.nixie-agent; };
in
rec {
  nixie = module ./controller (lib: own: { services.nixie.package = lib.mkDefault own.nixie; });
  nixie-agent = module ./agent.nix agent;
  nixie-host = module ./host.nix (lib: own: { services.nixie-host.package = lib.mkDefault own.nixie-agent; });
  nixie-relay = module ./relay.nix (lib: own: { services.nixie-relay.package = lib.mkDefault own.nixie; });
  # a whole image; the others only add options
  installer = module ./image agent;
  default.imports = [
    nixie
    nixie-agent
    nixie-host
    nixie-relay
  ];
}
