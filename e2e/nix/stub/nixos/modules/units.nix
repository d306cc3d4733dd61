# systemd.services → the text of units, with the names and rules of NixOS.
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
  service.options = {
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
    path = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    environment = section;
    unitConfig = section;
    serviceConfig = section;
    reloadTriggers = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    restartTriggers = mkOption { type = types.listOf types.unspecified; default = [ ]; };
    restartIfChanged = mkOption { type = types.bool; default = true; };
  };
  word = value: if value == true then "true" else if value == false then "false" else toString value;
  lines = set: lib.concatLists (lib.mapAttrsToList (name: value: map (one: "${name}=${word one}") (lib.toList value)) set);
  joined = list: lib.optionalAttrs (list != [ ]);
  text = s: lib.concatStringsSep "\n" (
    [ "[Unit]" ]
    ++ lines (
      joined s.after { After = toString s.after; }
      // joined s.before { Before = toString s.before; }
      // joined s.wants { Wants = toString s.wants; }
      // joined s.requires { Requires = toString s.requires; }
      // joined s.documentation { Documentation = toString s.documentation; }
      // { Description = s.description; }
      // s.unitConfig
    )
    ++ [ "" "[Service]" ]
    ++ lines (lib.mapAttrs (_: value: value) { Environment = lib.mapAttrsToList (name: value: builtins.toJSON "${name}=${value}") (s.environment // { PATH = lib.makeBinPath (s.path ++ [ pkgs.coreutils pkgs.systemd ]); }); })
    ++ lines s.serviceConfig
    ++ lib.optionals (s.wantedBy != [ ]) [ "" "[Install]" "WantedBy=${toString s.wantedBy}" ]
    ++ [ "" ]
  );
in
{
  options.systemd.services = mkOption { type = types.attrsOf (types.submodule service); default = { }; };
  options.systemd.units = mkOption { type = types.attrsOf types.unspecified; default = { }; };
  config.systemd.units = lib.mapAttrs' (name: s: lib.nameValuePair "${name}.service" { text = text s; }) config.systemd.services;
}
