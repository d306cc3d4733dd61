# What is installed in the VM test: one disk, BIOS, SSH.
{ modulesPath, ... }:
{
  imports = [ (modulesPath + "/profiles/qemu-guest.nix") ];
  networking.hostName = "machine1";
  services.openssh.enable = true;
  documentation.enable = false;
  disko.devices.disk.main = {
    type = "disk";
    device = "/dev/disk/by-id/virtio-NIXIE1";
    content = {
      type = "gpt";
      partitions = {
        boot = {
          size = "1M";
          type = "EF02";
        };
        root = {
          size = "100%";
          content = {
            type = "filesystem";
            format = "ext4";
            mountpoint = "/";
          };
        };
      };
    };
  };
  boot.loader.grub.enable = true;
  system.stateVersion = "25.11";
}
