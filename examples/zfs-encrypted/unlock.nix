# At boot the machine waits for its passphrase: at its screen, or over SSH on port 2222, with a host key of its own, so that whoever gets hold
# of the unencrypted part of the disk can't pass for the running system.
{ config, ... }:
{
  boot.initrd = {
    systemd.enable = true;
    systemd.network = {
      enable = true;
      networks."10-unlock" = {
        matchConfig.Type = "ether";
        networkConfig.DHCP = "yes";
        dhcpV4Config.ClientIdentifier = "mac";
      };
    };
    network.enable = true;
    network.ssh = {
      enable = true;
      port = 2222;
      hostKeys = [ "/persist/etc/ssh/initrd_ssh_host_ed25519_key" ];
      authorizedKeys = config.users.users.root.openssh.authorizedKeys.keys;
    };
    # The cards of most machines; the installer's inventory says which one yours needs.
    availableKernelModules = [
      "e1000e"
      "igb"
      "ixgbe"
      "r8169"
      "virtio_net"
    ];
  };
}
