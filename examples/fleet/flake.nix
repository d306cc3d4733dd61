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
      hosts = lib.filterAttrs (_: host: lib.isAttrs host) (lib.importJSON ./hosts.json);

      # A machine is what its tags say, what it is called, and what is in hosts/NAME.nix, if that is there.
      machine =
        name: host:
        lib.nixosSystem {
          modules = [
            disko.nixosModules.disko
            ./modules/every-machine.nix
            {
              networking.hostName = name;
              nixpkgs.hostPlatform = host.system or "x86_64-linux";
              # The disk that the hints in hosts.json mean: Nixie finds it on the machine, and the agent makes this link.
              disko.devices.disk = lib.mkIf (host ? disk) { main.device = "/dev/nixie/disk"; };
            }
          ]
          ++ map (tag: ./modules + "/${tag}.nix") (host.tags or [ ])
          ++ lib.optional (lib.pathExists (./hosts + "/${name}.nix")) (./hosts + "/${name}.nix");
        };
    in
    {
      nixosConfigurations = lib.mapAttrs machine hosts // {
        installer = nixie.lib.mkInstaller { system = "x86_64-linux"; };
        installer-arm = nixie.lib.mkInstaller { system = "aarch64-linux"; };
      };
    };
}
