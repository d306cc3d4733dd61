# The controller of the VM tests: Nixie, a LAN, and in its store all that it hands out.
{
  self,
  prebuilt,
  hosts,
}:
{ pkgs, lib, ... }:
{
  virtualisation.vlans = [ 1 ];
  virtualisation.memorySize = 2048;
  virtualisation.additionalPaths = prebuilt.paths;
  networking.firewall.enable = false;
  environment.systemPackages = [ self.packages.${pkgs.stdenv.hostPlatform.system}.nixie ];
  nix.settings.substituters = lib.mkForce [ ];
  # a flake that nixie may lock beside
  system.activationScripts.lab = ''
    mkdir -p /root/lab
    cp ${prebuilt.flake}/flake.nix ${prebuilt.json} /root/lab/
    mv /root/lab/*configurations.json /root/lab/configurations.json
    cp ${pkgs.writeText "hosts.json" (builtins.toJSON hosts)} /root/lab/hosts.json
  '';
  environment.etc."run-nixie".source = pkgs.writeShellScript "run-nixie" ''
    cd /root/lab
    exec nixie --flake path:/root/lab --installer path:/root/lab#nixosConfigurations.installer --hosts hosts.json \
      --interface eth1 --dhcp range=192.168.1.50-192.168.1.60 --json "$@"
  '';
}
