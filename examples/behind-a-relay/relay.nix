# A small computer beside the rack: one card to the world, one to the machines.
{
  nixpkgs.hostPlatform = "x86_64-linux";
  networking.hostName = "rack7";
  fileSystems."/".device = "/dev/disk/by-label/nixos";
  boot.loader.systemd-boot.enable = true;
  system.stateVersion = "25.11";

  networking.useNetworkd = true;
  systemd.network.networks."20-machines" = {
    matchConfig.Name = "enp4s0";
    networkConfig.Address = "10.20.0.1/24";
  };

  services.nixie-relay = {
    enable = true;
    interfaces = [ "enp4s0" ];
    # of `nixie relay-token rack7`; not in the store, which everybody can read
    tokenFile = "/var/lib/secrets/nixie-relay.token";
    openFirewall = true;
  };
}
