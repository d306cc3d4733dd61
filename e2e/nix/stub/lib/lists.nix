# Plain functions of lists, sets and strings, as nixpkgs has them; nothing that it hasn't.
let
  chars = text: builtins.genList (i: builtins.substring i 1 text) (builtins.stringLength text);
  upper = chars "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  lower = chars "abcdefghijklmnopqrstuvwxyz";
  replaceChars = builtins.replaceStrings;
in
rec {
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    functionArgs
    genList
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    mapAttrs
    partition
    pathExists
    sort
    tail
    ;
  concatMapStringsSep = separator: f: list: concatStringsSep separator (map f list);
  concatMapAttrs = f: set: foldl' (a: b: a // b) { } (attrValues (mapAttrs f set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  filterAttrs = keep: set: listToAttrs (concatMap (n: if keep n set.${n} then [ (nameValuePair n set.${n}) ] else [ ]) (attrNames set));
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  foldl' = builtins.foldl';
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  optionalString = condition: text: if condition then text else "";
  findFirst =
    holds: none: list:
    let
      found = filter holds list;
    in
    if found == [ ] then none else head found;
  flatten = x: if isList x then concatMap flatten x else [ x ];
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  importJSON = path: builtins.fromJSON (builtins.readFile path);
  toLower = replaceChars upper lower;
  replaceStrings = builtins.replaceStrings;
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      rest = builtins.stringLength text - builtins.stringLength suffix;
    in
    rest >= 0 && builtins.substring rest (-1) text == suffix;
  removePrefix =
    prefix: text: if hasPrefix prefix text then builtins.substring (builtins.stringLength prefix) (-1) text else text;
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then builtins.substring 0 (builtins.stringLength text - builtins.stringLength suffix) text else text;
  hasInfix = infix: text: builtins.match ".*${escapeRegex infix}.*" text != null;
  escapeRegex = replaceChars (chars "\\[{()^$?*+|.") (map (c: "\\" + c) (chars "\\[{()^$?*+|."));
  escapeShellArg = text: "'${replaceChars [ "'" ] [ "'\\''" ] (toString text)}'";
  escapeShellArgs = list: concatStringsSep " " (map escapeShellArg list);
  makeBinPath = makeSearchPath "bin";
  makeSearchPath = folder: packages: concatStringsSep ":" (map (package: "${package}/${folder}") packages);
  getLib = package: package;
  getExe = package: getExe' package (package.meta.mainProgram or package.pname or package.name);
  getExe' = package: program: "${package}/bin/${program}";
  setDefaultModuleLocation = file: module: {
    _file = file;
    imports = [ module ];
  };
  recursiveUpdate =
    a: b:
    a // mapAttrs (name: value: if isAttrs value && isAttrs (a.${name} or null) then recursiveUpdate a.${name} value else value) b;
  generators.toJSON = _: builtins.toJSON;
  systems.flakeExposed = [ "x86_64-linux" "aarch64-linux" ];
  trivial.release = "25.11";
  versions.major = text: head (builtins.splitVersion text);
}
