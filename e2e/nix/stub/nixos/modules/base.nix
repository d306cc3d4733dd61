# Options of NixOS that are set somewhere in this repository, with the types that they have there: a name that isn't here, or a value of another
# kind, is a mistake, in the module or here.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  of = type: default: mkOption { inherit type default; };
  needed = type: mkOption { inherit type; };
  list = of (types.listOf types.str) [ ];
  set = of (types.attrsOf types.anything) { };
  flag = of types.bool false;
  on = of types.bool true;
  lines = of types.lines "";
  # lists of names that newer versions keep as sets: `[ "a" ]` and `{ a = true; }` are the same
  names = of (types.coercedTo (types.listOf types.str) (all: lib.genAttrs all (_: true)) (types.attrsOf types.bool)) { };
  # sections of networkd's files; their keys are in `accepted`
  section =
    accepted:
    of (types.addCheck (types.attrsOf types.anything) (value: lib.all (name: lib.elem name accepted) (lib.attrNames value))) { };
  ports = {
    allowedTCPPorts = of (types.listOf types.port) [ ];
    allowedUDPPorts = of (types.listOf types.port) [ ];
  };
  network.options = {
    enable = on;
    matchConfig = section [ "Type" "Name" "MACAddress" "Kind" ];
    networkConfig = section [ "Address" "DHCP" "EmitLLDP" "Gateway" "IPv6AcceptRA" "LLDP" "LinkLocalAddressing" ];
    dhcpV4Config = section [ "ClientIdentifier" "UseHostname" "UseNTP" "UseDNS" ];
    linkConfig = section [ "RequiredForOnline" ];
    address = list;
  };
  networks = of (types.attrsOf (types.submodule network)) { };
  etc = { name, config, ... }: {
    options = {
      enable = on;
      text = of (types.nullOr types.lines) null;
      source = needed types.path;
      mode = of types.str "symlink";
    };
    config.source = lib.mkIf (config.text != null) (lib.mkDefault (pkgs.writeText name config.text));
  };
  user.options = {
    isNormalUser = flag;
    isSystemUser = flag;
    group = of types.str "";
    initialHashedPassword = of (types.nullOr types.str) null;
    extraGroups = list;
    openssh.authorizedKeys = { keys = list; keyFiles = of (types.listOf types.path) [ ]; };
  };
  fileSystem.options = {
    device = of (types.nullOr types.str) null;
    fsType = of types.str "auto";
    options = of (types.listOf types.str) [ "defaults" ];
    neededForBoot = flag;
    encrypted = of (types.attrsOf types.anything) { };
  };
  hostKey = types.addCheck (types.attrsOf types.anything) (key: key ? type && key ? path);
  # Looks at everything but the inside of packages.
  force =
    value:
    if builtins.isAttrs value then
      value ? outPath || lib.all force (lib.attrValues value)
    else if builtins.isList value then
      lib.all force value
    else
      builtins.seq value true;
  inherit (config.boot.initrd.network) ssh;
  failed = map (one: one.message) (lib.filter (one: !one.assertion) config.assertions);
in
{
  options = {
    assertions = of (types.listOf types.unspecified) [ ];
    warnings = list;
    boot = {
      consoleLogLevel = of types.int 4;
      extraModulePackages = of (types.listOf types.package) [ ];
      initrd = {
        availableKernelModules = names;
        compressor = of (types.either types.str (types.functionTo types.str)) "zstd";
        compressorArgs = of (types.nullOr (types.listOf types.str)) null;
        kernelModules = names;
        luks.devices = set;
        prepend = list;
        network = {
          enable = flag;
          ssh = {
            enable = flag;
            port = of types.port 22;
            authorizedKeys = list;
            hostKeys = of (types.listOf (types.either types.str types.path)) [ ];
            ignoreEmptyHostKeys = flag;
          };
        };
        secrets = of (types.attrsOf (types.nullOr types.path)) { };
        systemd = {
          enable = flag;
          emergencyAccess = of (types.either types.bool (types.nullOr types.str)) false;
          network = { enable = flag; inherit networks; };
          services = set;
          mounts = of (types.listOf (types.attrsOf types.anything)) [ ];
          extraBin = of (types.attrsOf types.str) { };
          storePaths = list;
        };
      };
      kernel.sysctl = set;
      kernelModules = names;
      kernelPackages = of types.raw { };
      kernelParams = list;
      loader = {
        efi.canTouchEfiVariables = flag;
        systemd-boot.enable = flag;
        grub = { enable = flag; efiSupport = flag; efiInstallAsRemovable = flag; devices = list; };
        timeout = of (types.nullOr types.int) 5;
      };
      supportedFilesystems = names;
      swraid.enable = flag;
      zfs = {
        package = of types.package pkgs.zfs;
        forceImportRoot = on;
        requestEncryptionCredentials = of (types.either types.bool (types.listOf types.str)) true;
        devNodes = of types.path "/dev/disk/by-id";
      };
    };
    documentation = { enable = on; man.enable = on; nixos.enable = on; };
    environment = {
      defaultPackages = of (types.listOf types.package) [ ];
      etc = of (types.attrsOf (types.submodule etc)) { };
      systemPackages = of (types.listOf types.package) [ ];
    };
    fileSystems = of (types.attrsOf (types.submodule fileSystem)) { };
    fonts.fontconfig.enable = flag;
    hardware = {
      enableRedistributableFirmware = flag;
      facter.reportPath = of (types.nullOr types.path) null;
      firmware = of (types.listOf types.package) [ ];
    };
    networking = {
      firewall = ports // {
        enable = on;
        interfaces = of (types.attrsOf (types.submodule { options = ports; })) { };
      };
      hostId = of (types.nullOr types.str) null;
      hostName = of (types.strMatching "|[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?") "nixos";
      networkmanager.enable = flag;
      useDHCP = on;
      useNetworkd = flag;
      wireless.enable = flag;
      interfaces = set;
      nat = { enable = flag; externalInterface = of (types.nullOr types.str) null; internalInterfaces = list; };
    };
    nix = {
      gc.automatic = flag;
      registry = set;
      settings = {
        substituters = list;
        trusted-users = of (types.listOf types.str) [ "root" ];
        experimental-features = list;
        # of a free form there
        connect-timeout = of types.int 0;
        download-attempts = of types.int 5;
        fsync-metadata = on;
        trusted-public-keys = list;
      };
    };
    nixpkgs = {
      hostPlatform = of (types.either types.str (types.attrsOf types.anything)) "x86_64-linux";
      overlays = of (types.listOf types.raw) [ ];
      config = set;
    };
    programs = {
      command-not-found.enable = flag;
      nano.enable = on;
      ssh.package = of types.package pkgs.openssh;
    };
    security = { polkit.enable = flag; sudo.enable = on; };
    services.getty.autologinUser = of (types.nullOr types.str) null;
    services.lldpd = { enable = flag; extraArgs = list; };
    services.nginx.enable = flag;
    services.openssh = {
      enable = flag;
      hostKeys = of (types.listOf hostKey) [ ];
      ports = of (types.listOf types.port) [ 22 ];
      openFirewall = on;
      settings = {
        PermitRootLogin = of (types.enum [ "yes" "without-password" "prohibit-password" "forced-commands-only" "no" ]) "prohibit-password";
        PasswordAuthentication = on;
        KbdInteractiveAuthentication = on;
        UseDns = flag;
        # of a free form there
        MaxStartups = of types.str "";
      };
    };
    services.postgresql.enable = flag;
    services.udisks2.enable = flag;
    services.prometheus.exporters.node.enable = flag;
    system = {
      boot.loader.kernelFile = of types.str (if pkgs.stdenv.hostPlatform.isAarch64 then "Image" else "bzImage");
      build = of (types.lazyAttrsOf types.unspecified) { };
      configurationRevision = of (types.nullOr types.str) null;
      extraDependencies = of (types.listOf types.package) [ ];
      modulesTree = of types.package pkgs.linux-modules;
      nixos.variant_id = of (types.nullOr (types.strMatching "[a-z0-9._-]+")) null;
      stateVersion = needed types.str;
    };
    systemd.network = {
      enable = flag;
      inherit networks;
      wait-online = { anyInterface = flag; timeout = of types.int 120; };
    };
    time.timeZone = of (types.nullOr types.str) null;
    users.users = of (types.attrsOf (types.submodule user)) { };
    xdg = { icons.enable = on; mime.enable = on; sounds.enable = on; };
  };

  # NixOS has many more; these two are about what a machine can be reached by.
  config.assertions = [
    {
      assertion = !ssh.enable || ssh.authorizedKeys != [ ];
      message = "You should specify at least one authorized key for initrd SSH";
    }
    {
      assertion = !ssh.enable || ssh.hostKeys != [ ] || ssh.ignoreEmptyHostKeys;
      message = "You must now pre-generate the host keys for initrd SSH.";
    }
  ];
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
          etc = builtins.toJSON (lib.mapAttrs (_: file: file.source) config.environment.etc);
          packages = map (package: "${package}") config.environment.systemPackages;
          stateVersion = config.system.stateVersion;
          # Whatever is set is of its kind, also what nothing here is made of.
          checked = force (removeAttrs config [ "assertions" "system" "nixpkgs" ]);
        };
  };
}
