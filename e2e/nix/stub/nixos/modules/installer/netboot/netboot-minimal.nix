# What nixpkgs' netboot image sets with usual strength, where this repository has another opinion.
{ config, lib, pkgs, ... }:
{
  boot.supportedFilesystems = { btrfs = true; vfat = true; xfs = true; zfs = true; };
  documentation.enable = lib.mkImageMediaOverride true;
  documentation.nixos.enable = lib.mkImageMediaOverride true;
  fileSystems."/" = lib.mkImageMediaOverride { fsType = "tmpfs"; };
  networking.wireless.enable = lib.mkDefault true;
  nix.settings.substituters = [ "https://cache.nixos.org/" ];
  services.openssh.enable = lib.mkDefault true;
  services.openssh.settings.PermitRootLogin = lib.mkDefault "yes";
  system.nixos.variant_id = lib.mkDefault "installer";
  system.extraDependencies = [ pkgs.jq ];
  users.users.root.initialHashedPassword = "";
  system.build.netbootRamdisk = derivation { name = "initrd"; system = pkgs.stdenv.hostPlatform.system; builder = "/no-builder"; store = config.system.build.toplevel; };
}
