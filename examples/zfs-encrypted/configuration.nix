{
  nixpkgs.hostPlatform = "x86_64-linux";
  networking.hostName = "vault1";

  services.openssh.enable = true;
  users.users.root.openssh.authorizedKeys.keys = [
    # your public key: it also unlocks the disk at boot
  ];

  # ZFS wants to know which machine a pool was last used by.
  networking.hostId = "7ab1e001";

  system.stateVersion = "25.11";
}
