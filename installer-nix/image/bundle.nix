# All that a boot server needs, in one output: kernel, initrd, kernel-params, init. Nixie prefers it and takes an image without it as well.
{ config, pkgs, ... }:
let
  inherit (config.system) build boot;
in
{
  system.build.nixie = pkgs.runCommand "nixie-installer-${pkgs.stdenv.hostPlatform.system}" { } ''
    mkdir $out
    ln -s ${build.kernel}/${boot.loader.kernelFile} $out/kernel
    ln -s ${build.netbootRamdisk}/initrd $out/initrd
    ln -s ${build.toplevel}/kernel-params $out/kernel-params
    ln -s ${build.toplevel}/init $out/init
  '';
}
