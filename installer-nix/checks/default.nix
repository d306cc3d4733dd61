# `nix flake check`: the packages run, the image builds, and in virtual machines it registers and a machine is installed.
{
  self,
  nixpkgs,
  disko,
  pkgs,
}:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;
  installer = self.nixosConfigurations."installer-${system}";
  machine = nixpkgs.lib.nixosSystem {
    modules = [
      disko.nixosModules.disko
      ./machine.nix
      { nixpkgs.hostPlatform = system; }
    ];
  };
  # what the lab acts out as well
  story =
    name:
    pkgs.testers.runNixOSTest (
      import ./story.nix {
        inherit
          self
          pkgs
          installer
          machine
          ;
        file = ../../e2e/stories + "/${name}.json";
      }
    );
in
{
  # each of them has run its program once when it is built
  inherit (self.packages.${system}) nixie nixie-agent nixie-agent-script;
  installer = installer.config.system.build.nixie;
}
# the blank machine's firmware is that of a PC
// lib.optionalAttrs (system == "x86_64-linux") (
  lib.genAttrs [
    "image-registers"
    "full-install"
  ] story
)
