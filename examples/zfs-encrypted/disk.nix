# An encrypted pool. While disko makes it the passphrase lies in the installer's memory at /tmp/disk.key, put there by Nixie; afterwards the
# pool asks for it.
{ lib, ... }:
let
  dataset = mountpoint: options: {
    type = "zfs_fs";
    inherit mountpoint;
    options = {
      mountpoint = "legacy";
    }
    // options;
  };
in
{
  disko.devices = {
    disk.main = {
      type = "disk";
      device = "/dev/disk/by-id/nvme-disk_S5GXNX0W200001";
      content = {
        type = "gpt";
        partitions = {
          ESP = {
            size = "1G";
            type = "EF00";
            content = {
              type = "filesystem";
              format = "vfat";
              mountpoint = "/boot";
              mountOptions = [ "umask=0077" ];
            };
          };
          zfs = {
            size = "100%";
            content = {
              type = "zfs";
              pool = "rpool";
            };
          };
        };
      };
    };
    zpool.rpool = {
      type = "zpool";
      options.ashift = "12";
      rootFsOptions = {
        mountpoint = "none";
        compression = "zstd";
        acltype = "posixacl";
        xattr = "sa";
        encryption = "aes-256-gcm";
        keyformat = "passphrase";
        keylocation = "file:///tmp/disk.key";
      };
      postCreateHook = "zfs set keylocation=prompt rpool";
      datasets = {
        "local/root" = dataset "/" { } // {
          postCreateHook = "zfs snapshot rpool/local/root@blank";
        };
        "local/nix" = dataset "/nix" { atime = "off"; };
        "safe/home" = dataset "/home" { };
        "safe/persist" = dataset "/persist" { };
      };
    };
  };
  fileSystems."/persist".neededForBoot = lib.mkDefault true;

  boot.loader.systemd-boot.enable = true;
  boot.loader.efi.canTouchEfiVariables = true;
}
