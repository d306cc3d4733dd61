# The lab's flake: an installer and machines as a NixOS flake has them, but made of Debian's files, so that it needs no network and
# no nixpkgs. `artefacts.json` (names and hashes of those files), `lab.json` (the machines) and `stage` (Nixie's boot
# stage) are written beside it by e2e/lab/image, which also puts the files into the store.
{
  description = "Debian's kernel, systemd, openssh and nix in the shape of NixOS configurations";

  outputs =
    { self }:
    let
      system = "x86_64-linux";
      artefacts = builtins.fromJSON (builtins.readFile ./artefacts.json);
      lab = builtins.fromJSON (builtins.readFile ./lab.json);
      store = import ./store.nix { inherit system artefacts; };
      debian = import ./debian.nix { inherit store artefacts; };
      kernel = import ./kernel.nix { inherit store debian artefacts; };
      installer = import ./installer.nix { inherit store debian kernel artefacts system; };
      fleet = import ./fleet.nix { inherit store debian kernel artefacts installer; };
      machine = import ./machine.nix { inherit store debian kernel system; };
    in
    {
      nixosConfigurations = builtins.mapAttrs (name: settings: { config = machine name settings; }) lab.machines // {
        installer.config = installer;
        # the same in two parts
        fleet-installer.config = fleet;
      };
      # for tests that look into the image
      lab.installerTree = debian.installer;
    };
}
