# `nix flake check`: the packages run, the image builds, and in virtual machines it registers and a machine is installed.
{ self, pkgs }:
let
  inherit (pkgs.stdenv.hostPlatform) system;
  installer = self.nixosConfigurations."installer-${system}";
in
{
  # each of them has run its program once when it is built
  inherit (self.packages.${system}) nixie nixie-agent nixie-agent-script;
  installer = installer.config.system.build.nixie;
  image-registers = pkgs.testers.runNixOSTest (import ./image-registers.nix { inherit self installer system; });
}
