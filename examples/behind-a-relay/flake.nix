{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    # in this repository; elsewhere the place where you got Nixie from
    nixie = {
      url = "path:../..";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.disko.follows = "disko";
    };
  };

  outputs =
    {
      nixpkgs,
      disko,
      nixie,
      ...
    }:
    let
      inherit (nixpkgs) lib;
      node =
        name:
        lib.nixosSystem {
          modules = [
            disko.nixosModules.disko
            ./disk.nix
            ./node.nix
            { networking.hostName = name; }
          ];
        };
    in
    {
      nixosConfigurations =
        lib.genAttrs [
          "node1"
          "node2"
        ] node
        // {
          installer = nixie.lib.mkInstaller { system = "x86_64-linux"; };
          controller = lib.nixosSystem {
            modules = [
              nixie.nixosModules.nixie
              ./controller.nix
            ];
          };
          relay = lib.nixosSystem {
            modules = [
              nixie.nixosModules.nixie-relay
              ./relay.nix
            ];
          };
        };
    };
}
