# iPXE for machines of Nixie: IPv4 at once, where the stock build first waits for an IPv6 router that isn't there (13 to 16 s a boot).
{
  lib,
  ipxe,
  stdenv,
}:
let
  arm = stdenv.hostPlatform.isAarch64;
in
ipxe.override {
  embedScript = ./ipxe-boot.ipxe;
  # with the firmware's own network driver; iPXE's hang more often
  additionalTargets =
    lib.optionalAttrs stdenv.hostPlatform.isx86_64 { "bin-x86_64-efi/snponly.efi" = null; }
    // lib.optionalAttrs arm { "bin-arm64-efi/snponly.efi" = "snponly-arm64.efi"; };
}
