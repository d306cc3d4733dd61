{
  nixpkgs.hostPlatform = "x86_64-linux";
  networking.hostName = "machine1";

  services.openssh.enable = true;
  users.users.root.openssh.authorizedKeys.keys = [
    # your public key
  ];

  system.stateVersion = "25.11";
}
