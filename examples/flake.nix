# The example of the first Nixie, as it stood: an installer and machines that differ by name.
{
  inputs = {
    nixpkgs.url = "github:nixos/nixpkgs/nixos-25.05";
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    nixie = {
      url = "path:..";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.disko.follows = "disko";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      disko,
      nixie,
    }:
    let
      machine =
        name:
        nixpkgs.lib.nixosSystem {
          system = "x86_64-linux";
          modules = [
            disko.nixosModules.disko
            ./configuration.nix
            { networking.hostName = name; }
          ];
        };
    in
    {
      nixosConfigurations = {
        installer = nixie.lib.mkInstaller { system = "x86_64-linux"; };
        machine1 = machine "machine1";
        machine2 = machine "machine2";
      };
    };
}
