# Packages of nixpkgs by name. They are derivations that nobody builds: what refers to them gets a store path with their name.
{
  lib,
  system,
  overlays ? [ ],
}:
let
  stub =
    name: more:
    derivation {
      inherit name system;
      builder = "/no-builder";
    }
    // {
      pname = name;
      meta.mainProgram = name;
      override = arguments: stub name (more // { overridden = arguments; });
    }
    // more;
  names = [
    "bash"
    "btrfs-progs"
    "coreutils"
    "busybox"
    "cpio"
    "cryptsetup"
    "dmidecode"
    "dnsmasq"
    "dosfstools"
    "e2fsprogs"
    "esbuild"
    "ethtool"
    "gitMinimal"
    "gnutar"
    "gptfdisk"
    "gzip"
    "ipmitool"
    "iproute2"
    "ipxe"
    "jq"
    "kmod"
    "linux-firmware"
    "linux-modules"
    "lldpd"
    "lvm2"
    "mdadm"
    "nix"
    "nixfmt-tree"
    "nixos-anywhere"
    "nixos-facter"
    "nixos-install-tools"
    "nodejs-slim_24"
    "nodejs_24"
    "nvme-cli"
    "openssh"
    "parted"
    "pciutils"
    "pnpm_10"
    "qemu"
    "rsync"
    "smartmontools"
    "systemd"
    "tcpdump"
    "util-linux"
    "xfsprogs"
    "xz"
    "zfs"
    "zstd"
  ];
  base =
    final:
    lib.genAttrs names (name: stub name { })
    // {
      inherit lib;
      pnpmConfigHook = stub "pnpm-config-hook" { };
      makeBinaryWrapper = stub "make-binary-wrapper" { };
      autoPatchelfHook = stub "auto-patchelf-hook" { };
      installShellFiles = stub "install-shell-files" { };
      fetchPnpmDeps =
        arguments:
        derivation {
          name = "${arguments.pname}-pnpm-deps";
          inherit system;
          builder = "/no-builder";
          outputHashMode = "recursive";
          outputHash = arguments.hash;
        };
      stdenv = {
        cc.cc = stub "gcc" { };
        hostPlatform = {
          inherit system;
          isx86_64 = system == "x86_64-linux";
          isAarch64 = system == "aarch64-linux";
        };
        mkDerivation =
          f:
          let
            attributes = f attributes;
            known = removeAttrs attributes [ "meta" "passthru" "env" "src" "__structuredAttrs" ];
          in
          stub "${attributes.pname}-${attributes.version}" (
            derivation (
              {
                name = "${attributes.pname}-${attributes.version}";
                inherit system;
                builder = "/no-builder";
              }
              // builtins.mapAttrs (_: builtins.toJSON) (removeAttrs known [ "pnpmDeps" ])
              // lib.optionalAttrs (attributes ? pnpmDeps) { inherit (attributes) pnpmDeps; }
            )
            // {
              inherit (attributes) pname version meta src;
              phases = builtins.intersectAttrs { buildPhase = null; installPhase = null; postInstall = null; installCheckPhase = null; env = null; } attributes;
            }
            // attributes.passthru or { }
          );
      };
      mkShell = arguments: stub "shell" { packages = arguments.packages; };
      runCommand =
        name: environment: script:
        derivation ({ inherit name system script; builder = "/no-builder"; } // removeAttrs environment [ "passthru" ]) // environment.passthru or { };
      makeModulesClosure =
        { rootModules, kernel, firmware, allowMissing ? false }:
        derivation { name = "modules-shrunk"; inherit system rootModules; builder = "/no-builder"; };
      writeText = name: text: derivation { inherit name system text; builder = "/no-builder"; };
      writeShellScript = final.writeText;
      # Its script is looked at, so that what it refers to is there.
      testers.runNixOSTest = test: stub "vm-test-${test.name}" { } // { script = test.testScript; };
      writeTextDir = name: text: stub "folder-of-${builtins.replaceStrings [ "/" ] [ "-" ] name}" { inherit text; };
      callPackage =
        file: arguments:
        let
          f = if builtins.isFunction file then file else import file;
          wanted = builtins.functionArgs f;
          missing = builtins.filter (name: !wanted.${name} && !(final ? ${name}) && !(arguments ? ${name})) (builtins.attrNames wanted);
        in
        if missing != [ ] then
          throw "the stub of nixpkgs has no ${toString missing}"
        else
          f (builtins.intersectAttrs wanted final // arguments);
    };
  all = builtins.foldl' (before: overlay: final: let prev = before final; in prev // overlay final prev) base overlays;
  packages = all packages;
in
packages
