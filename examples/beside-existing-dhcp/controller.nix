# A NixOS machine of the office on which Nixie runs as a service.
{
  nixpkgs.hostPlatform = "x86_64-linux";
  networking.hostName = "controller";
  fileSystems."/".device = "/dev/disk/by-label/nixos";
  boot.loader.systemd-boot.enable = true;
  system.stateVersion = "25.11";

  services.nixie = {
    enable = true;
    # a checkout of this flake that the service may read
    flake = "/etc/nixos";
    hostsFile = "/etc/nixos/hosts.json";
    interfaces = [ "enp2s0" ];
    sshKeyFile = "/etc/ssh/ssh_host_ed25519_key.pub";
    openFirewall = true;
  };
}
