# Programs that must be on the machine itself: for nixos-anywhere (it asks for tar, cpio and setsid before anything else), for disko's
# scripts in the form that brings no programs along, and for the inventory.
{ pkgs, ... }:
{
  environment.systemPackages = with pkgs; [
    # nixos-anywhere
    bash
    coreutils
    cpio
    gnutar
    gzip
    util-linux # setsid --wait, lsblk, wipefs, blkid
    nixos-install-tools
    rsync
    # disko
    cryptsetup
    dosfstools
    e2fsprogs
    gptfdisk
    jq
    lvm2
    mdadm
    parted
    xfsprogs
    btrfs-progs
    # inventory; the agent reads /sys itself and says what it could not see without them
    dmidecode
    ethtool
    iproute2
    lldpd
    nvme-cli
    pciutils
    smartmontools
  ];
}
