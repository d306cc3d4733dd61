# What nixpkgs' minimal netboot image and its profiles set, with the strength that they have there, where this repository has another opinion.
{ config, lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.netboot.squashfsCompression = mkOption { type = types.nullOr types.str; default = "zstd -Xcompression-level 19"; };
  options.system.installer.channel.enable = mkOption { type = types.bool; default = true; };

  config = lib.mkMerge [
    # netboot.nix
    {
      boot.loader.grub.enable = false;
      boot.loader.timeout = 10;
      fileSystems."/" = lib.mkImageMediaOverride { fsType = "tmpfs"; options = [ "mode=0755" ]; };
      boot.initrd.availableKernelModules = [ "squashfs" "overlay" ];
      boot.initrd.kernelModules = [ "loop" "overlay" ];
      fileSystems."/nix/.ro-store" = lib.mkImageMediaOverride {
        fsType = "squashfs";
        device = "../nix-store.squashfs";
        options = [ "loop" ];
        neededForBoot = true;
      };
      system.build.initialRamdisk = derivation { name = "initial-ramdisk"; system = pkgs.stdenv.hostPlatform.system; builder = "/no-builder"; };
      system.build.squashfsStore = derivation { name = "squashfs.img"; system = pkgs.stdenv.hostPlatform.system; builder = "/no-builder"; };
      system.stateVersion = lib.mkDefault lib.trivial.release;
      system.build.netbootRamdisk = derivation {
        name = "initrd";
        system = pkgs.stdenv.hostPlatform.system;
        builder = "/no-builder";
        store = config.system.build.toplevel;
        compression = config.netboot.squashfsCompression;
      };
    }
    # base.nix
    {
      boot.supportedFilesystems = lib.mkMerge [ [ "btrfs" "cifs" "f2fs" "ntfs" "vfat" "xfs" ] { zfs = lib.mkDefault true; } ];
      networking.hostId = lib.mkDefault "8425e349";
    }
    # installation-device.nix, channel.nix, not-detected.nix
    {
      system.nixos.variant_id = lib.mkDefault "installer";
      documentation.enable = lib.mkImageMediaOverride true;
      documentation.nixos.enable = lib.mkImageMediaOverride true;
      users.users.nixos = { isNormalUser = true; extraGroups = [ "wheel" "networkmanager" "video" ]; initialHashedPassword = ""; };
      users.users.root.initialHashedPassword = "";
      security.polkit.enable = true;
      security.sudo.enable = lib.mkDefault true;
      services.getty.autologinUser = "nixos";
      services.openssh.enable = lib.mkDefault true;
      services.openssh.settings.PermitRootLogin = lib.mkDefault "yes";
      networking.wireless.enable = lib.mkDefault true;
      system.extraDependencies = [ pkgs.jq ];
      boot.swraid.enable = true;
      nix.settings.trusted-users = [ "nixos" ];
      hardware.enableRedistributableFirmware = lib.mkDefault true;
    }
    (lib.mkIf config.system.installer.channel.enable { nix.registry.nixpkgs.to = { type = "path"; path = "nixpkgs"; }; })
    # minimal.nix
    {
      documentation.enable = lib.mkDefault false;
      documentation.man.enable = lib.mkDefault false;
      programs.command-not-found.enable = lib.mkDefault false;
      services.udisks2.enable = lib.mkDefault false;
      xdg.icons.enable = lib.mkDefault false;
      xdg.mime.enable = lib.mkDefault false;
      xdg.sounds.enable = lib.mkDefault false;
    }
    # netboot-minimal.nix
    {
      documentation.man.enable = lib.mkOverride 500 true;
      hardware.enableRedistributableFirmware = lib.mkOverride 70 false;
      system.extraDependencies = lib.mkOverride 70 [ ];
      networking.wireless.enable = lib.mkOverride 500 false;
    }
    # every system of a flake
    { nix.registry.nixpkgs = lib.mkDefault { to.type = "path"; }; nix.settings.substituters = [ "https://cache.nixos.org/" ]; }
  ];
}
