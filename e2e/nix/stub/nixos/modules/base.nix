# Options of NixOS that are set somewhere in this repository, most of them without their types: a name that isn't here is a mistake, in the
# module or here.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  any = mkOption { type = types.unspecified; };
  with' = default: mkOption { type = types.unspecified; inherit default; };
  list = mkOption { type = types.listOf types.unspecified; default = [ ]; };
  set = mkOption { type = types.attrsOf types.unspecified; default = { }; };
  flag = mkOption { type = types.bool; default = false; };
  text = mkOption { type = types.str; default = ""; };
  ports = {
    allowedTCPPorts = mkOption { type = types.listOf types.port; default = [ ]; };
    allowedUDPPorts = mkOption { type = types.listOf types.port; default = [ ]; };
  };
  failed = map (one: one.message) (lib.filter (one: !one.assertion) config.assertions);
in
{
  options = {
    assertions = list;
    warnings = list;
    boot = {
      consoleLogLevel = any;
      extraModulePackages = list;
      initrd = {
        availableKernelModules = list;
        compressor = any;
        compressorArgs = any;
        kernelModules = list;
        luks.devices = set;
        network = { enable = flag; ssh = set; };
        secrets = set;
        systemd = { enable = flag; emergencyAccess = with' false; network = set; services = set; };
      };
      kernel.sysctl = set;
      kernelModules = list;
      kernelPackages = any;
      kernelParams = mkOption { type = types.listOf types.str; default = [ ]; };
      loader = { efi.canTouchEfiVariables = flag; systemd-boot = set; grub = set; timeout = any; };
      supportedFilesystems = set;
      swraid.enable = flag;
      zfs = set;
    };
    documentation = { enable = with' true; man.enable = with' true; nixos.enable = with' true; };
    environment = {
      defaultPackages = list;
      etc = mkOption { type = types.attrsOf (types.attrsOf types.unspecified); default = { }; };
      systemPackages = list;
    };
    fileSystems = set;
    fonts.fontconfig.enable = flag;
    hardware = { enableRedistributableFirmware = flag; facter = set; };
    netboot.squashfsCompression = any;
    networking = {
      firewall = ports // {
        enable = with' true;
        interfaces = mkOption { type = types.attrsOf (types.submodule { options = ports; }); default = { }; };
      };
      hostId = with' null;
      hostName = text;
      networkmanager.enable = flag;
      useDHCP = with' true;
      useNetworkd = flag;
      wireless.enable = flag;
    };
    nix = { gc.automatic = flag; registry = set; settings = set; };
    nixpkgs = { hostPlatform = with' "x86_64-linux"; overlays = list; config = set; };
    programs = {
      command-not-found.enable = flag;
      nano.enable = with' true;
      ssh.package = with' pkgs.openssh;
    };
    security = { polkit.enable = flag; sudo.enable = with' true; };
    services.getty = set;
    services.nginx = set;
    services.openssh = { enable = flag; hostKeys = list; settings = set; ports = with' [ 22 ]; openFirewall = flag; };
    services.udisks2.enable = flag;
    services.prometheus.exporters.node = set;
    system = {
      boot.loader.kernelFile = with' "bzImage";
      build = mkOption { type = types.attrsOf types.unspecified; default = { }; };
      configurationRevision = with' null;
      extraDependencies = list;
      installer.channel.enable = with' true;
      nixos.variant_id = with' null;
      stateVersion = any;
    };
    systemd.network = {
      enable = flag;
      networks = set;
      wait-online = { anyInterface = flag; timeout = with' 120; };
    };
    time.timeZone = with' null;
    users.users = mkOption {
      type = types.attrsOf (types.submodule {
        options = {
          isNormalUser = flag;
          initialHashedPassword = with' null;
          extraGroups = list;
          openssh.authorizedKeys = { keys = list; keyFiles = list; };
        };
      });
      default = { };
    };
    xdg = { icons.enable = flag; mime.enable = flag; sounds.enable = flag; };
  };

  config.system.build = {
    kernel = derivation { name = "linux"; system = pkgs.stdenv.hostPlatform.system; builder = "/no-builder"; };
    toplevel =
      if failed != [ ] then
        throw "Failed assertions:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}"
      else
        derivation {
          name = "nixos-system-${config.networking.hostName}";
          system = pkgs.stdenv.hostPlatform.system;
          builder = "/no-builder";
          params = toString config.boot.kernelParams;
          units = builtins.toJSON (lib.mapAttrs (_: unit: unit.text) config.systemd.units);
          etc = builtins.toJSON config.environment.etc;
          packages = map (package: "${package}") config.environment.systemPackages;
          stateVersion = config.system.stateVersion;
        };
  };
}
