// A flake without inputs whose configurations are shaped like NixOS ones and build within a second: what Nixie asks nix for, without nixpkgs.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ToyFlake {
  /** A static busybox; its file must have that name, it finds its applet by it. */
  readonly busybox: string;
  /** More Nix for the set of configurations, like `m2 = host "m2" { };`. */
  readonly configurations: string;
}

/** Writes flake.nix and bin/busybox into `folder`, which is made. `host NAME MORE` merges MORE into config.system.build. */
export function writeToyFlake(folder: string, toy: ToyFlake): void {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  copyFileSync(toy.busybox, join(folder, 'bin/busybox'));
  writeFileSync(join(folder, 'flake.nix'), flakeText(toy.configurations));
}

function flakeText(configurations: string): string {
  return `{
  outputs = { self }: let
    bb = "\${./bin}/busybox";
    sys = "x86_64-linux";
    mk = name: text: derivation {
      inherit name;
      system = sys;
      builder = bb;
      args = [ "sh" "-ec" ''
        \${bb} mkdir -p $NIX_BUILD_TOP/b; \${bb} --install -s $NIX_BUILD_TOP/b; export PATH=$NIX_BUILD_TOP/b; \${text}'' ];
    };
    host = name: more: let build = {
      kernel = mk "linux-toy" "mkdir $out; head -c 4000000 /dev/zero > $out/bzImage";
      netbootRamdisk = mk "initrd-toy" "mkdir -p $out r; cp \${bb} r/; (cd r; find . | cpio -o -H newc | gzip -9n) > $out/initrd";
      diskoScript = mk "disko" "printf '#!/bin/sh\\\\necho formatting\\\\nmkdir -p /mnt\\\\n' > $out; chmod +x $out";
      toplevel = mk "nixos-system-\${name}" ''
        mkdir -p $out/bin; printf \${sys} > $out/system; printf 'loglevel=4  console=ttyS0\\n' > $out/kernel-params
        ln -s \${build.kernel}/bzImage $out/kernel; ln -s \${build.netbootRamdisk}/initrd $out/initrd
        printf '#!/bin/sh\\n' | tee $out/init > $out/bin/switch-to-configuration; chmod +x $out/init $out/bin/*'';
    } // more; in {
      config = {
        system.build = build;
        system.boot.loader.kernelFile = "bzImage";
        networking.hostName = name;
      };
    };
  in {
    nixosConfigurations = {
      ${configurations}
    };
  };
}
`;
}
