# Firmware. nixpkgs' minimal netboot image has none, and some server cards don't work without: a machine then boots, and has no network. All
# of linux-firmware is as large as the rest of the image; most of it is for graphics, sound and wireless.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  # folders and files of linux-firmware: wired network cards, Fibre Channel
  wanted = [
    "bnx2"
    "bnx2x"
    "cxgb3"
    "cxgb4"
    "e100"
    "intel/ice"
    "ql2*_fw.bin"
    "qed"
    "rtl_nic"
    "tigon"
  ];
in
{
  # by more than the image's own opinion (70), and less than that of a user
  hardware.enableRedistributableFirmware = lib.mkOverride 65 (!config.services.nixie-agent.slim);
  hardware.firmware = lib.mkIf config.services.nixie-agent.slim [
    # The squashfs compresses it.
    (pkgs.runCommand "nixie-installer-firmware" { passthru.compressFirmware = false; } ''
      cd ${pkgs.linux-firmware}/lib/firmware
      for one in ${lib.concatStringsSep " " wanted}; do
        [ -e "$one" ] || { echo "linux-firmware has no $one any more" >&2; continue; }
        mkdir -p "$out/lib/firmware/$(dirname "$one")"
        cp -rL --no-preserve=mode "$one" "$out/lib/firmware/$(dirname "$one")/"
      done
    '')
  ];
}
