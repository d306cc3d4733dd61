# A flake whose configurations were built before: the paths of their derivations and outputs, which `nix-store --realise` finds valid. In a
# virtual machine without network nothing is evaluated or built then.
{ pkgs, configurations }:
let
  inherit (pkgs) lib;
  wanted =
    configuration:
    lib.filterAttrs (
      name: _:
      lib.elem name [
        "toplevel"
        "diskoScript"
        "nixie"
      ]
    ) configuration.config.system.build;
  # not by their own names: a set with outPath becomes a string in JSON
  plain = output: {
    drv = builtins.unsafeDiscardStringContext output.drvPath;
    out = builtins.unsafeDiscardStringContext output.outPath;
  };
  of = configuration: {
    config = {
      system.build = lib.mapAttrs (_: plain) (wanted configuration);
      networking.hostName = configuration.config.networking.hostName;
      nixpkgs.hostPlatform.system = pkgs.stdenv.hostPlatform.system;
      services.openssh.enable = true;
      disko.devices.disk = lib.mapAttrs (_: disk: { inherit (disk) device; }) (configuration.config.disko.devices.disk or { });
    };
  };
  outputs = lib.concatMap (configuration: lib.attrValues (wanted configuration)) (lib.attrValues configurations);
in
{
  flake = pkgs.writeTextDir "flake.nix" ''
    {
      outputs = _: {
        nixosConfigurations = builtins.mapAttrs (_: one: {
          config = one.config // {
            system.build = builtins.mapAttrs (_: output: {
              drvPath = output.drv;
              outPath = output.out;
            }) one.config.system.build;
          };
        }) (builtins.fromJSON (builtins.readFile ./configurations.json));
      };
    }
  '';
  json = pkgs.writeText "configurations.json" (builtins.toJSON (lib.mapAttrs (_: of) configurations));
  # what has to lie in the store of the machine that serves them
  paths = outputs ++ map (output: builtins.unsafeDiscardOutputDependency output.drvPath) outputs;
}
