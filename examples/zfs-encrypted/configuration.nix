{ config, lib, ... }:
let
  keys = [
    # your public key: it also unlocks the disk at boot
    "ssh-ed25519 REPLACE-with-your-own operator"
  ];
in
{
  nixpkgs.hostPlatform = "x86_64-linux";
  networking.hostName = "vault1";

  services.openssh.enable = true;
  users.users.root.openssh.authorizedKeys = {
    inherit keys;
  };
  warnings = lib.optional (lib.any (lib.hasInfix "REPLACE") keys) "${config.networking.hostName}: put your public key into configuration.nix, or nobody can unlock its disk over SSH";

  # ZFS wants to know which machine a pool was last used by.
  networking.hostId = "7ab1e001";

  system.stateVersion = "25.11";
}
