# Two cards: one to the world, one to a switch with nothing but the new machines on it.
{
  nixpkgs.hostPlatform = "x86_64-linux";
  networking.hostName = "controller";
  fileSystems."/".device = "/dev/disk/by-label/nixos";
  boot.loader.systemd-boot.enable = true;
  system.stateVersion = "25.11";

  networking.useNetworkd = true;
  systemd.network.networks."20-machines" = {
    matchConfig.Name = "enp3s0";
    networkConfig.Address = "10.20.0.1/24";
  };

  services.nixie = {
    enable = true;
    flake = "/etc/nixos";
    interfaces = [ "enp3s0" ];
    openFirewall = true;
    dhcp = {
      mode = "range";
      from = "10.20.0.100";
      to = "10.20.0.199";
    };
    hosts = {
      node1 = {
        macAddress = "aa:bb:cc:dd:ee:11";
        address = "10.20.0.11";
      };
      node2 = {
        macAddress = "aa:bb:cc:dd:ee:12";
        address = "10.20.0.12";
      };
      node3.macAddress = "aa:bb:cc:dd:ee:13";
    };
  };
}
