# Nixie's packages over nixpkgs. `nixiePackages` holds all of them under the names that the flake gives them.
{ commit }:
final: prev: {
  nixiePackages = {
    inherit (final) nixie nixie-agent nixie-agent-script;
    ipxe = final.nixie-ipxe;
  };
  nixie = final.callPackage ../controller/package.nix {
    inherit commit;
    ipxe = final.nixie-ipxe;
  };
  nixie-agent = final.callPackage ../agent/package.nix { inherit commit; };
  nixie-agent-script = final.callPackage ../agent/package.nix {
    inherit commit;
    script = true;
  };
  # not `ipxe`: other packages have that one in them
  nixie-ipxe = final.callPackage ./ipxe.nix { inherit (prev) ipxe; };
}
