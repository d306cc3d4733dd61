# Somewhere in the company: the machines' network can't be reached from here.
{
  nixpkgs.hostPlatform = "x86_64-linux";
  networking.hostName = "controller";
  fileSystems."/".device = "/dev/disk/by-label/nixos";
  boot.loader.systemd-boot.enable = true;
  system.stateVersion = "25.11";

  services.nixie = {
    enable = true;
    flake = "/etc/nixos";
    interfaces = [ "enp3s0" ];
    openFirewall = true;
    # Relays may come by any of its addresses.
    relayListen = "0.0.0.0";
    hostsFile = "/etc/nixos/hosts.json";
  };
}
