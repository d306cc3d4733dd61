# Programs that must be on the machine itself: for nixos-anywhere (it asks for tar, cpio and setsid before anything else), for disko's
# scripts in the form that brings no programs along, and for whoever logs in to see what is wrong. The agent brings its own.
{ lib, pkgs, ... }:
{
  # Neighbours at the switch, for the inventory; it hears and speaks on every wired card.
  services.lldpd.enable = lib.mkDefault true;
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
    # people
    dmidecode
    ethtool
    iproute2
    nvme-cli
    pciutils
    smartmontools
  ];
}
