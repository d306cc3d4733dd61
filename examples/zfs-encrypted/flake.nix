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
    {
      nixosConfigurations = {
        installer = nixie.lib.mkInstaller {
          system = "x86_64-linux";
          modules = [ { services.nixie-agent.zfs = true; } ];
        };

        vault1 = nixpkgs.lib.nixosSystem {
          modules = [
            disko.nixosModules.disko
            ./disk.nix
            ./unlock.nix
            ./configuration.nix
          ];
        };
      };
    };
}
