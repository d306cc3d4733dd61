# What is so on this machine alone.
{
  disko.devices.disk.main.device = "/dev/disk/by-path/pci-0000:00:17.0-ata-1";
}
