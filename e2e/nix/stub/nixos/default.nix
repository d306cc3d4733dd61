# nixosSystem: the modules over a few options of NixOS.
{ lib }:
{
  modules,
  system ? null,
  specialArgs ? { },
}:
let
  evaluated = lib.evalModules {
    specialArgs = { modulesPath = ./modules; } // specialArgs;
    modules = [
      ./modules/base.nix
      ./modules/units.nix
      {
        _module.args = { inherit pkgs; };
        nixpkgs.hostPlatform = lib.mkIf (system != null) (lib.mkDefault system);
      }
    ]
    ++ modules;
  };
  platform = evaluated.config.nixpkgs.hostPlatform;
  pkgs = import ../packages.nix {
    inherit lib;
    system = platform.system or platform;
    overlays = evaluated.config.nixpkgs.overlays;
  };
in
evaluated // { inherit pkgs; }
