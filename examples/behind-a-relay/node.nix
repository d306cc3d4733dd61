{
  nixpkgs.hostPlatform = "x86_64-linux";

  services.openssh.enable = true;
  users.users.root.openssh.authorizedKeys.keys = [
    # your public key
  ];

  system.stateVersion = "25.11";
}
