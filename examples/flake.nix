# The example of the first Nixie, as it stood: an installer and machines that differ by name.
{
  inputs = {
    nixpkgs.url = "github:nixos/nixpkgs/nixos-25.05";
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    # With the nixpkgs of its own: these machines' is older than its packages need.
    nixie.url = "path:..";
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
