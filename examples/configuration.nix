{ modulesPath, ... }:
{
  imports = [
    (modulesPath + "/profiles/all-hardware.nix")
    ./disk.nix
  ];

  services.openssh.enable = true;
  # Put your own key here; --ssh-key adds it to the installer only.
  users.users.root.openssh.authorizedKeys.keys = [ ];

  system.stateVersion = "25.05";
}
