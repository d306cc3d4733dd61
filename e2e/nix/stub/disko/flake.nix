{
  description = "disko's options and scripts by name, to evaluate layouts without network";
  outputs =
    { self, ... }:
    {
      nixosModules.disko =
        { lib, config, ... }:
        {
          options.disko.devices = lib.mkOption {
            type = lib.types.attrsOf (lib.types.attrsOf lib.types.anything);
            default = { };
          };
          config.system.build.diskoScript = derivation {
            name = "disko";
            system = config.nixpkgs.hostPlatform.system or "x86_64-linux";
            builder = "/no-builder";
            devices = builtins.toJSON config.disko.devices;
          };
        };
    };
}
