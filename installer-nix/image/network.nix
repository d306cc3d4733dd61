# Every wired card by DHCP, known by its MAC as the firmware and iPXE are, so that all three have one lease.
{ lib, ... }:
{
  networking.useNetworkd = true;
  networking.useDHCP = false;
  networking.networkmanager.enable = lib.mkForce false;
  networking.wireless.enable = lib.mkForce false;
  # Nothing listens but sshd, which takes keys only.
  networking.firewall.enable = lib.mkDefault false;

  systemd.network.enable = true;
  systemd.network.networks."10-nixie" = {
    matchConfig.Type = "ether";
    networkConfig = {
      DHCP = "yes";
      # lldpd's work
      LLDP = false;
      EmitLLDP = false;
      IPv6AcceptRA = true;
      LinkLocalAddressing = "ipv6";
    };
    dhcpV4Config = {
      ClientIdentifier = "mac";
      UseHostname = false;
      UseNTP = false;
    };
    # A card without a cable must hold up nobody.
    linkConfig.RequiredForOnline = "routable";
  };
  systemd.network.wait-online = {
    anyInterface = true;
    timeout = 120;
  };
}
