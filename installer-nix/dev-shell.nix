# What a change of Nixie needs: the workspace's own Node is made for other Linuxes, so its link goes after each install.
{ pkgs }:
pkgs.mkShell {
  packages = with pkgs; [
    nodejs_24
    pnpm_10
    nixfmt-tree
    nixos-anywhere
    qemu
    dnsmasq
    tcpdump
  ];
  shellHook = ''
    [ ! -e node_modules/.bin/node ] || rm -f node_modules/.bin/node
  '';
}
