# Types of options: a check, a way to merge several definitions, words for the documentation.
{ lib }:
let
  inherit (lib) concatMap head length;
  at = builtins.concatStringsSep ".";
  show = value: builtins.substring 0 120 (builtins.toJSON value);
  mk = type: { nested = null; getSubOptions = _: { }; } // type;
  # One definition, or several that say the same.
  same =
    loc: defs:
    if builtins.all (def: def.value == (head defs).value) defs then
      (head defs).value
    else
      throw "The option `${at loc}' has conflicting definition values: ${toString (map (def: "${def.file}: ${show def.value};") defs)}";
  simple = description: check: mk { inherit description check; merge = same; };
  matching = pattern: text: builtins.isString text && builtins.match pattern text != null;
  between = low: high: simple "integer between ${toString low} and ${toString high} (both inclusive)" (
    n: builtins.isInt n && n >= low && n <= high
  );
  isPackage = value: builtins.isAttrs value && value ? drvPath || value ? outPath || builtins.isString value && lib.hasPrefix builtins.storeDir value;
  self = {
    bool = simple "boolean" builtins.isBool;
    int = simple "signed integer" builtins.isInt;
    port = between 0 65535 // { description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)"; };
    ints = {
      inherit between;
      positive = simple "positive integer, meaning >0" (n: builtins.isInt n && n > 0);
      unsigned = simple "unsigned integer, meaning >=0" (n: builtins.isInt n && n >= 0);
    };
    str = simple "string" builtins.isString;
    nonEmptyStr = simple "non-empty string" (matching ".*[^ \t\r\n]+.*");
    strMatching = pattern: simple "string matching the pattern ${pattern}" (matching pattern);
    path = simple "absolute path" (value: lib.hasPrefix "/" (toString value));
    package = simple "package" isPackage;
    raw = mk { description = "raw value"; check = _: true; merge = _: defs: (head defs).value; };
    lines = mk {
      description = "strings concatenated with \"\\n\"";
      check = builtins.isString;
      merge = _: defs: builtins.concatStringsSep "\n" (map (def: def.value) defs);
    };
    # Sets are merged, lists joined, everything else must be said once.
    anything = mk {
      description = "anything";
      check = _: true;
      merge =
        loc: defs:
        if builtins.all (def: builtins.isAttrs def.value && !(def.value ? outPath)) defs then
          (self.attrsOf self.anything).merge loc defs
        else
          same loc defs;
    };
    unspecified = self.anything // { description = "unspecified value"; };
    attrs = mk {
      description = "attribute set";
      check = builtins.isAttrs;
      merge = _: defs: builtins.foldl' (a: def: a // def.value) { } defs;
    };
    addCheck = type: check: type // { check = value: type.check value && check value; };
    functionTo = type: mk { description = "function that evaluates to a(n) ${type.description}"; check = lib.isFunction; merge = same; };
    enum = values: simple "one of ${lib.concatMapStringsSep ", " builtins.toJSON values}" (value: builtins.elem value values);
    nullOr = type: mk {
      description = "null or ${type.description}";
      check = value: value == null || type.check value;
      merge = loc: defs: if builtins.all (def: def.value == null) defs then null else type.merge loc defs;
      inherit (type) getSubOptions;
    };
    either = a: b: mk {
      description = "${a.description} or ${b.description}";
      check = value: a.check value || b.check value;
      merge = loc: defs: (if builtins.all (def: a.check def.value) defs then a else b).merge loc defs;
      getSubOptions = prefix: a.getSubOptions prefix // b.getSubOptions prefix;
    };
    oneOf = all: builtins.foldl' self.either (head all) (builtins.tail all);
    listOf = type: mk {
      description = "list of ${type.description}";
      check = builtins.isList;
      merge =
        loc: defs:
        concatMap (
          def: lib.modules.number (n: value: lib.modules.mergeOne type (loc ++ [ "[${toString n}]" ]) [ { inherit (def) file; inherit value; } ]) def.value
        ) defs;
      getSubOptions = prefix: type.getSubOptions (prefix ++ [ "*" ]);
    };
    nonEmptyListOf = type: self.listOf type // { check = list: builtins.isList list && list != [ ]; description = "non-empty list of ${type.description}"; };
    attrsOf = type: mk {
      description = "attribute set of ${type.description}";
      check = builtins.isAttrs;
      merge =
        loc: defs:
        let
          names = lib.unique (concatMap (def: builtins.attrNames def.value) defs);
          of = name: lib.modules.discharge (concatMap (def: lib.optional (def.value ? ${name}) { inherit (def) file; value = def.value.${name}; }) defs);
          present = builtins.filter (name: of name != [ ]) names;
        in
        lib.genAttrs present (name: lib.modules.mergeOne type (loc ++ [ name ]) (of name));
      getSubOptions = prefix: type.getSubOptions (prefix ++ [ "<name>" ]);
    };
    lazyAttrsOf = self.attrsOf;
    # A value of it that is a set is all configuration, also one with a field `options`.
    submodule = module: self.submoduleWith { shorthandOnlyDefinesConfig = true; modules = lib.toList module; };
    submoduleWith = { modules, shorthandOnlyDefinesConfig ? false }: mk {
      description = "submodule";
      check = value: builtins.isAttrs value || builtins.isFunction value;
      merge =
        loc: defs:
        (lib.evalModules {
          prefix = loc;
          modules = modules ++ [ { _module.args.name = lib.modules.last loc; } ] ++ map (
            def:
            if shorthandOnlyDefinesConfig && builtins.isAttrs def.value then
              { _file = def.file; config = def.value; }
            else
              lib.setDefaultModuleLocation def.file def.value
          ) defs;
        }).config;
      getSubOptions = prefix: (lib.evalModules { inherit modules prefix; }).options;
    };
    coercedTo = from: f: to: mk {
      description = "${to.description} or ${from.description} convertible to it";
      check = value: to.check value || from.check value && to.check (f value);
      merge = loc: defs: to.merge loc (map (def: def // { value = if from.check def.value then f def.value else def.value; }) defs);
    };
  };
in
self // { inherit (self) bool; }
