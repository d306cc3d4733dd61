{
  description = "Nixie turns racks of blank machines into proved NixOS installations with one command";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    # for the test that installs a machine
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      disko,
    }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      overlay = import ./installer-nix/overlay.nix { commit = self.rev or ""; };
      packagesOf =
        pkgs:
        let
          own = overlay (pkgs // own) pkgs;
        in
        own;
      modules = import ./installer-nix/modules.nix { inherit packagesOf; };
    in
    {
      packages = each (pkgs: (packagesOf pkgs).nixiePackages // { default = (packagesOf pkgs).nixie; });
      apps = each (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (packagesOf pkgs).nixie;
          meta.description = "Nixie's command";
        };
      });
      overlays.default = overlay;

      nixosModules = modules;
      lib.mkInstaller = import ./installer-nix/mk-installer.nix {
        inherit nixpkgs;
        module = modules.installer;
      };
      nixosConfigurations = lib.listToAttrs (
        map (system: lib.nameValuePair "installer-${system}" (self.lib.mkInstaller { inherit system; })) systems
      );

      templates = import ./installer-nix/templates.nix;
      checks = each (
        pkgs:
        import ./installer-nix/checks {
          inherit
            self
            nixpkgs
            disko
            pkgs
            ;
        }
      );
      devShells = each (pkgs: { default = import ./installer-nix/dev-shell.nix { inherit pkgs; }; });
      formatter = each (pkgs: pkgs.nixfmt-tree);
    };
}
