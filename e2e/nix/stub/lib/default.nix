# The part of nixpkgs' `lib` that this repository's Nix files use, written anew and small: it lets their options, defaults, assertions and
# units be checked by a nix without network. What it says is checked against the real one by `npm run test:nixpkgs`.
let
  lib = modules // types // values // lists // {
    inherit types;
    fileset = import ./fileset.nix;
    licenses.mit = "MIT";
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    nixosSystem = import ../nixos { inherit lib; };
  };
  values = import ./values.nix;
  lists = import ./lists.nix;
  types = import ./types.nix { inherit lib; };
  modules = import ./modules.nix { inherit lib; };
in
lib
