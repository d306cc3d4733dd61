# What a machine that is only installed has no use for.
{ config, lib, ... }:
let
  cfg = config.services.nixie-agent;
in
{
  config = lib.mkIf cfg.slim {
    documentation.enable = lib.mkOverride 55 false;
    documentation.nixos.enable = lib.mkOverride 55 false;
    documentation.man.enable = lib.mkOverride 55 false;
    # nixpkgs itself, and a compiler so that things can be built: the controller builds
    system.installer.channel.enable = false;
    system.extraDependencies = lib.mkForce [ ];
    nix.registry = lib.mkForce { };
    environment.defaultPackages = lib.mkForce [ ];
    programs.nano.enable = lib.mkForce false;
    programs.command-not-found.enable = lib.mkForce false;
    security.polkit.enable = lib.mkForce false;
    security.sudo.enable = lib.mkForce false;
    services.udisks2.enable = lib.mkForce false;
    xdg.mime.enable = lib.mkForce false;
    xdg.icons.enable = lib.mkForce false;
    xdg.sounds.enable = lib.mkForce false;
    fonts.fontconfig.enable = lib.mkForce false;
    # there is no swap to compress
    boot.kernelParams = [ "zswap.enabled=0" ];
  };
}
