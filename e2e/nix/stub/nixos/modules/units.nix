# systemd.services and systemd.sockets → the text of units, with the names and rules of NixOS.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  names = mkOption { type = types.listOf types.str; default = [ ]; };
  section = mkOption { type = types.attrsOf types.unspecified; default = { }; };
  unit = {
    enable = mkOption { type = types.bool; default = true; };
    description = mkOption { type = types.str; default = ""; };
    documentation = names;
    wantedBy = names;
    requiredBy = names;
    wants = names;
    requires = names;
    after = names;
    before = names;
    conflicts = names;
    partOf = names;
    bindsTo = names;
    unitConfig = section;
  };
  socket.options = unit // {
    listenStreams = names;
    listenDatagrams = names;
    socketConfig = section;
  };
  service.options = unit // {
    path = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    environment = section;
    serviceConfig = section;
    reloadTriggers = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    restartTriggers = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    restartIfChanged = mkOption { type = types.bool; default = true; };
  };
  word = value: if value == true then "true" else if value == false then "false" else toString value;
  lines = set: lib.concatLists (lib.mapAttrsToList (name: value: map (one: "${name}=${word one}") (lib.toList value)) set);
  joined = list: lib.optionalAttrs (list != [ ]);
  unitLines =
    s:
    [ "[Unit]" ]
    ++ lines (
      lib.foldl' (found: one: found // joined s.${one.option} { ${one.name} = toString s.${one.option}; }) { } [
        { option = "after"; name = "After"; }
        { option = "before"; name = "Before"; }
        { option = "wants"; name = "Wants"; }
        { option = "requires"; name = "Requires"; }
        { option = "partOf"; name = "PartOf"; }
        { option = "documentation"; name = "Documentation"; }
      ]
      // { Description = s.description; }
      // s.unitConfig
    );
  installLines = s: lib.optionals (s.wantedBy != [ ]) [ "" "[Install]" "WantedBy=${toString s.wantedBy}" ];
  serviceText = s: lib.concatStringsSep "\n" (
    unitLines s
    ++ [ "" "[Service]" ]
    ++ lines { Environment = lib.mapAttrsToList (name: value: builtins.toJSON "${name}=${value}") (s.environment // { PATH = lib.makeBinPath (s.path ++ [ pkgs.coreutils pkgs.systemd ]); }); }
    ++ lines s.serviceConfig
    ++ installLines s
    ++ [ "" ]
  );
  socketText = s: lib.concatStringsSep "\n" (
    unitLines s ++ [ "" "[Socket]" ] ++ lines s.socketConfig ++ installLines s ++ [ "" ]
  );
  named = kind: text: units: lib.mapAttrs' (name: s: lib.nameValuePair "${name}.${kind}" { text = text s; }) units;
in
{
  options.systemd.services = mkOption { type = types.attrsOf (types.submodule service); default = { }; };
  options.systemd.units = mkOption { type = types.attrsOf types.unspecified; default = { }; };
  options.systemd.sockets = mkOption { type = types.attrsOf (types.submodule socket); default = { }; };
  config.systemd.units = named "service" serviceText config.systemd.services // named "socket" socketText config.systemd.sockets;
}
