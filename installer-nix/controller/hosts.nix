# The hosts of hosts.json as a submodule, and back: the same keys in camelCase. hosts.schema.json is what both must agree with.
{ lib }:
let
  inherit (lib) mkOption types;
  withDefault = default: type: more: mkOption ({ inherit default type; } // more);
  optional = type: withDefault null (types.nullOr type);
  list = type: withDefault [ ] (types.listOf type);
  macHint = "Six spellings are understood, in either case.";
  source = types.strMatching "file:/.+|command:.+|env:[A-Za-z_][A-Za-z0-9_]*|credential:[A-Za-z0-9._-]+";
  sourceHint = "`file:/PATH`, `command:PROGRAM ARGUMENT…`, `env:NAME`, or `credential:NAME` of `services.nixie.credentials`";
  size = types.either types.ints.positive types.str;

  disk.options = {
    serial = optional types.str { description = "Serial number, as the inventory shows it."; };
    wwn = optional types.str { description = "World Wide Name, as the inventory shows it."; };
    minSize = optional size {
      example = "400G";
      description = "The disk has at least this size: bytes, or text with K, M, G, T, P (powers of 1000) or Ki, Mi, … (of 1024).";
    };
    maxSize = optional size { description = "The disk has at most this size."; };
    rotational = optional types.bool { description = "`true`: a disk with platters; `false`: a solid-state disk."; };
    count = optional (types.ints.between 1 256) { description = "So many disks meet it, no more and no fewer; one unless given."; };
  };

  hints.options = {
    inherit (disk.options)
      minSize
      maxSize
      rotational
      ;
    model = optional types.str { description = "Model, as the inventory shows it, in either case; `*` stands for any text."; };
    serial = optional types.str { description = "Serial number, in the same way."; };
    wwn = optional types.str { description = "World Wide Name, in the same way."; };
    byPath = optional types.str { description = "Its place: a name below `/dev/disk/by-path`, in the same way."; };
  };

  secretFile.options = {
    source = mkOption {
      type = source;
      description = "Where the value is read: ${sourceHint}.";
    };
    mode = mkOption {
      type = types.strMatching "0?[0-7]{3}";
      default = "0600";
      description = "Permission bits, in octal digits.";
    };
    owner = mkOption {
      type = types.strMatching "[0-9]{1,10}:[0-9]{1,10}";
      default = "0:0";
      description = "`UID:GID`, in numbers.";
    };
  };

  host.options = {
    macAddress = optional types.str {
      example = "aa:bb:cc:dd:ee:01";
      description = "MAC address of the network card that it boots from. ${macHint}";
    };
    macAddresses = list types.str {
      description = "All network cards by which the machine may ask; the first gets `address`. ${macHint}";
    };
    system = mkOption {
      type = types.enum [
        "x86_64-linux"
        "aarch64-linux"
      ];
      default = "x86_64-linux";
      description = "Platform of the machine.";
    };
    flakeAttr = optional types.str {
      description = "The entry of the flake's `nixosConfigurations`, when it isn't the host's name.";
    };
    tags = list types.str { description = "Words to group hosts by."; };
    boot = list types.str {
      example = [ "console=ttyS1,115200" ];
      description = "More words for the installer's kernel command line.";
    };
    address = optional types.str {
      description = "IPv4 address that Nixie's DHCP server gives to the first MAC.";
    };
    subnet = optional types.str {
      example = "10.20.0.0/24";
      description = "The subnet that the machine is in, and no other: its `cidr` in `services.nixie.subnets`, or the name of its relay.";
    };
    relay = optional types.str {
      description = "The nixie relay whose networks the machine is in; `null` when the controller reaches them itself.";
    };
    expectDisks = list (types.submodule disk) {
      description = "Nothing is written unless each entry is met by exactly one disk of the machine, or as many as it says.";
    };
    disk = optional (types.submodule hints) {
      example = {
        minSize = "400G";
        rotational = false;
      };
      description = "All of it holds for exactly one disk of the machine, which its layout then finds as `/dev/nixie/disk`.";
    };
    inventory = optional types.str {
      example = "/etc/nixie/web1/inventory.json";
      description = "File on the controller with the inventory that was recorded of the machine: what differs is told before the install.";
    };
    allowRemovable = mkOption {
      type = types.bool;
      default = false;
      description = "`true`: its disks may be of the removable kind, such as sticks and memory cards.";
    };
    wipe = mkOption {
      type = types.bool;
      default = false;
      description = "What is on the machine's disks may be lost, in every run; by a service once.";
    };
    secrets.diskKeys = mkOption {
      type = types.attrsOf source;
      default = { };
      example = { "/tmp/disk.key" = "credential:disk"; };
      description = "Files on the installer, for disko: path there → ${sourceHint}.";
    };
    secrets.files = mkOption {
      type = types.attrsOf (types.either source (types.submodule secretFile));
      default = { };
      description = "Files of the installed system: path there → source, or source with mode and owner.";
    };
  };

  subnet.options = {
    cidr = mkOption {
      type = types.str;
      example = "10.20.0.0/24";
      description = "Network that machines are in behind a relay.";
    };
    controllerAddress = optional types.str {
      description = "Address by which its machines reach the controller; `null`: that of the interface to which the relay sends.";
    };
    range = optional types.str {
      example = "10.20.0.100-10.20.0.199";
      description = "Nixie is its only DHCP server, with these addresses. `null`: another is.";
    };
    router = optional types.str { description = "Router that its machines are told, with a range; `null`: the relay."; };
    dns = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "10.20.0.53" ];
      description = "Name servers that its machines are told, at most four; with a range.";
    };
    relay = optional types.str { description = "Name of the nixie relay that serves it; `null` for relays of routers and switches."; };
  };

  given = lib.filterAttrs (_: value: value != null && value != [ ] && value != { });
  # A credential is a file that only the service can read.
  place =
    credentials: word:
    if lib.hasPrefix "credential:" word then "file:${credentials}/${lib.removePrefix "credential:" word}" else word;
in
{
  type = types.submodule host;
  subnetType = types.submodule subnet;
  subnetToJson =
    s:
    given {
      inherit (s)
        cidr
        range
        router
        dns
        relay
        ;
      controller_address = s.controllerAddress;
    };

  # One host as hosts.json has it. `credentials`: the folder where the service finds them.
  toJson =
    credentials: h:
    given {
      mac_address = h.macAddress;
      mac_addresses = h.macAddresses;
      inherit (h)
        tags
        boot
        address
        subnet
        relay
        inventory
        ;
      system = if h.system == "x86_64-linux" then null else h.system;
      flake_attr = h.flakeAttr;
      expect_disks = map (
        d:
        given {
          inherit (d) serial wwn rotational count;
          min_size = d.minSize;
          max_size = d.maxSize;
        }
      ) h.expectDisks;
      disk =
        if h.disk == null then
          null
        else
          given {
            inherit (h.disk) rotational model serial wwn;
            min_size = h.disk.minSize;
            max_size = h.disk.maxSize;
            by_path = h.disk.byPath;
          };
      wipe = if h.wipe then true else null;
      allow_removable = if h.allowRemovable then true else null;
      secrets = given {
        disk_keys = lib.mapAttrs (_: place credentials) h.secrets.diskKeys;
        files = lib.mapAttrs (
          _: file: if lib.isString file then place credentials file else file // { source = place credentials file.source; }
        ) h.secrets.files;
      };
    };

  # All sources of a host's secrets, as written.
  sourcesOf =
    h:
    lib.attrValues h.secrets.diskKeys
    ++ map (file: if lib.isString file then file else file.source) (lib.attrValues h.secrets.files);
}
