# A flake whose configurations were built before: the paths of their derivations and outputs, which `nix-store --realise` finds valid. In a
# virtual machine without network nothing has to be evaluated or built then.
{ pkgs, configurations }:
let
  inherit (pkgs) lib;
  path = output: {
    drvPath = builtins.unsafeDiscardStringContext output.drvPath;
    outPath = builtins.unsafeDiscardStringContext output.outPath;
  };
  of =
    configuration:
    let
      inherit (configuration.config.system) build;
      wanted = lib.filterAttrs (name: _: lib.elem name [ "toplevel" "diskoScript" "nixie" ]) build;
    in
    {
      config = {
        system.build = lib.mapAttrs (_: path) wanted;
        networking = { inherit (configuration.config.networking) hostName; };
        nixpkgs.hostPlatform = { inherit (pkgs.stdenv.hostPlatform) system; };
        services.openssh.enable = true;
        disko.devices.disk = lib.mapAttrs (_: disk: { inherit (disk) device; }) (configuration.config.disko.devices.disk or { });
      };
    };
  outputs = configuration: lib.attrValues (lib.filterAttrs (name: _: lib.elem name [ "toplevel" "diskoScript" "nixie" ]) configuration.config.system.build);
  all = lib.concatMap outputs (lib.attrValues configurations);
in
{
  flake = pkgs.writeTextDir "flake.nix" ''
    {
      outputs = _: {
        nixosConfigurations = builtins.fromJSON (builtins.readFile ./configurations.json);
      };
    }
  '';
  json = pkgs.writeText "configurations.json" (builtins.toJSON (lib.mapAttrs (_: of) configurations));
  # what has to lie in the store of the machine that serves them
  paths = all ++ map (output: builtins.unsafeDiscardOutputDependency output.drvPath) all;
}
