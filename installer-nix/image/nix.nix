# nix on the installer: `nixos-install` and `nix copy` work in `/mnt`, and take what the memory already holds from there.
{ lib, ... }:
{
  nix.settings = {
    # The store in memory is no signed cache, but it is ours; by force, because any other list would cost the network for what lies here.
    substituters = lib.mkForce [ "auto?trusted=1" ];
    connect-timeout = lib.mkDefault 3;
    download-attempts = lib.mkDefault 1;
    experimental-features = [
      "nix-command"
      "flakes"
    ];
    # the store in memory is to be written quickly, and is gone with the machine's reboot
    fsync-metadata = lib.mkDefault false;
    trusted-users = [ "root" ];
  };
  nix.gc.automatic = lib.mkForce false;
}
