# A second disk for the data.
{
  disko.devices.disk.data = {
    type = "disk";
    device = "/dev/disk/by-id/nvme-data_S5GXNX0W100001";
    content = {
      type = "filesystem";
      format = "xfs";
      mountpoint = "/var/lib/postgresql";
    };
  };
}
