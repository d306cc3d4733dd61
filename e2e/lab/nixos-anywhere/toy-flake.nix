# Small machines without nixpkgs, for tests of copies and installs: each closure has a few paths that refer to each other, built by a static busybox
# in `bin/` beside this file.
{
  outputs =
    { self }:
    let
      bb = "${./bin}/busybox";
      system = "x86_64-linux";
      make =
        name: text:
        derivation {
          inherit name system;
          builder = bb;
          args = [
            "sh"
            "-ec"
            ''
              ${bb} mkdir -p $NIX_BUILD_TOP/b
              ${bb} --install -s $NIX_BUILD_TOP/b
              export PATH=$NIX_BUILD_TOP/b
              ${text}''
          ];
        };
      disko = text: make "disko" "printf '%s\\n' '#!/bin/sh' '# needs ${bb}' '${text}' > $out; chmod +x $out";
      host =
        name: bytes: diskoScript:
        let
          kernel = make "linux-toy-${name}" "mkdir $out; head -c ${toString bytes} /dev/zero > $out/bzImage";
          build = {
            inherit diskoScript;
            toplevel = make "nixos-system-${name}" ''
              mkdir -p $out/bin
              printf ${system} > $out/system
              ln -s ${kernel}/bzImage $out/kernel
              ln -s ${bb} $out/bin/busybox'';
          };
        in
        {
          config.system.build = build;
        };
    in
    {
      nixosConfigurations = {
        m1 = host "m1" 4000000 (disko "echo disko: formatting; mkdir -p /mnt");
        big = host "big" 400000000 (disko "echo disko: formatting; mkdir -p /mnt");
        refuses = host "refuses" 1000 (disko "echo disko: no; exit 42");
        missing = host "missing" 1000 (disko "echo \"Problem opening /dev/does-not-exist for reading! Error is 2.\" >&2; exit 4");
        slow = host "slow" 1000 (disko "for i in 1 2 3 4 5 6 7 8 9; do echo formatting $i/9; sleep 1; done");
        throws = throw "no such option";
        unbuildable = host "unbuildable" 1000 (make "disko" "echo it breaks >&2; exit 3");
      };
    };
}
