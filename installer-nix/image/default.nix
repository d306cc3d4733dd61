# The installer image: nixpkgs' minimal netboot image, made for installs by nixos-anywhere that nobody watches at its screen.
# Size that is to be expected for x86_64, nothing of it measured: 330-420 MB of initrd with `slim`, most of it kernel modules, nix, Python and
# Node (some 30 MB compressed); ZFS some 30 MB more, nixos-facter 20; without `slim` 400-500 MB more, for linux-firmware, nixpkgs and compilers.
# Memory: twice the initrd and 512 MB for what disko brings along.
{
  lib,
  modulesPath,
  config,
  ...
}:
let
  cfg = config.services.nixie-agent;
in
{
  imports = [
    (modulesPath + "/installer/netboot/netboot-minimal.nix")
    ../agent.nix
    ./bundle.nix
    ./fleet.nix
    ./firmware.nix
    ./network.nix
    ./nix.nix
    ./slim.nix
    ./ssh.nix
    ./tools.nix
  ];

  services.nixie-agent.enable = lib.mkDefault true;

  # By this nixos-anywhere knows an installer: it neither asks for kexec nor refuses.
  system.nixos.variant_id = lib.mkForce "installer";
  system.stateVersion = lib.mkDefault lib.trivial.release;
  networking.hostName = lib.mkDefault "nixie-installer";

  # A serial console at 115200 baud takes longer for the kernel's chatter than the kernel for its work.
  boot.consoleLogLevel = lib.mkDefault 4;
  # Nobody waits at the screen: a machine that can't go on shall start again and ask anew.
  boot.kernelParams = [ "panic=30" ];
  boot.initrd.systemd.emergencyAccess = lib.mkDefault false;
  # Of the first stage, which many machines unpack at the same time; the store beside it is compressed already.
  boot.initrd.compressor = lib.mkDefault "zstd";
  boot.initrd.compressorArgs = lib.mkDefault [ "-3" ];
  netboot.squashfsCompression = lib.mkDefault "zstd -Xcompression-level 12";

  # disko uses them in the installer, whatever the target has
  boot.supportedFilesystems = {
    btrfs = lib.mkDefault true;
    ext4 = lib.mkDefault true;
    vfat = lib.mkDefault true;
    xfs = lib.mkDefault true;
    # nixpkgs' image always has it
    zfs = lib.mkForce cfg.zfs;
  };
  boot.kernelModules = [
    "dm-raid"
    "dm-crypt"
  ];
}
