# Modules: imports, options and definitions of all of them become one `config`. Definitions are looked at only when an option is asked for,
# so that conditions may depend on other options.
{ lib }:
let
  inherit (builtins) attrNames concatMap filter head isAttrs isFunction isList length;
  at = builtins.concatStringsSep ".";
  isWrapped = kind: value: isAttrs value && value ? _type && value._type == kind;
  isOption = isWrapped "option";
  structured = [ "imports" "options" "config" "_file" "key" "disabledModules" "freeformType" "_module" ];

  # A path, function or set → { file, imports, options, config }.
  load =
    { args, file }:
    module:
    let
      isPath = builtins.isPath module || builtins.isString module;
      from = if isPath then toString module else file;
      raw = if isPath then import module else module;
      called = if isFunction raw then raw (callArgs args raw) else raw;
      isStructured = called ? config || called ? options;
      known = filter (name: !(builtins.elem name structured)) (attrNames called);
      name = called._file or from;
    in
    if isStructured && known != [ ] then
      throw "Module `${name}' has an unsupported attribute `${head known}'"
    else
      {
        file = name;
        # A file that is imported from two places is one module; functions and sets are not compared.
        key = called.key or (if isPath then from else null);
        imports = called.imports or [ ];
        options = called.options or { };
        config =
          if isStructured then
            called.config or { }
          else
            removeAttrs called [ "imports" "options" "_file" "key" "disabledModules" "_module" "freeformType" ];
        args = called._module.args or called.config._module.args or { };
      };
  # Arguments that only `_module.args` gives are looked up when they are used.
  callArgs = args: f: args.given // builtins.mapAttrs (name: _: args.given.${name} or args.late.${name}) (builtins.functionArgs f);

  collect = context: modules: once (collectAll context modules);
  collectAll =
    context: modules:
    concatMap (
      module:
      let
        loaded = load context module;
      in
      collectAll (context // { inherit (loaded) file; }) loaded.imports ++ [ loaded ]
    ) modules;
  once = builtins.foldl' (
    kept: module: if module.key != null && builtins.any (other: other.key == module.key) kept then kept else kept ++ [ module ]
  ) [ ];

  # Conditions and priorities of a set become those of its attributes; its content decides which attributes there are.
  pushDown =
    value:
    if isWrapped "merge" value then
      concatMap pushDown value.contents
    else if isWrapped "if" value then
      map (builtins.mapAttrs (_: lib.mkIf value.condition)) (pushDown value.content)
    else if isWrapped "override" value then
      map (builtins.mapAttrs (_: lib.mkOverride value.priority)) (pushDown value.content)
    else
      [ value ];

  # Definitions of one option → those that hold, with the strongest priority, in order.
  unwrap =
    def:
    let
      inherit (def) value;
      inner = content: unwrap (def // { value = content; });
    in
    if isWrapped "merge" value then
      concatMap inner value.contents
    else if isWrapped "if" value then
      if value.condition then inner value.content else [ ]
    else if isWrapped "override" value then
      # Its content is left alone: a default that loses is never looked at.
      [ (def // { inherit (value) priority; value = value.content; }) ]
    else
      [ ({ priority = 100; } // def) ];
  ordered =
    def:
    if isWrapped "order" def.value then
      def // { order = def.value.priority; value = def.value.content; }
    else
      { order = 1000; } // def;
  discharge =
    defs:
    let
      all = concatMap unwrap defs;
      strongest = builtins.foldl' (least: def: if def.priority < least then def.priority else least) 9999 all;
      kept = map ordered (filter (def: def.priority == strongest) all);
    in
    map (def: removeAttrs def [ "priority" "order" ]) (builtins.sort (a: b: a.order < b.order) kept);

  mergeOne =
    type: loc: defs:
    let
      bad = filter (def: !(type.check def.value)) defs;
      first = head bad;
    in
    if defs == [ ] then
      throw "The option `${at loc}' was accessed but has no value defined. Try setting the option."
    else if bad != [ ] then
      throw "A definition for option `${at loc}' is not of type `${type.description}'. Definition: in `${first.file}': ${
        if isFunction first.value then
          "a function"
        else if builtins.isPath first.value then
          toString first.value
        else
          builtins.substring 0 120 (builtins.toJSON first.value)
      }"
    else
      type.merge loc defs;

  typeOf = option: if option ? type && !(option.type ? _isBool) then option.type else if option ? type then lib.types.bool else lib.types.unspecified;

  evalOption =
    loc: option: defs:
    let
      default = lib.optional (option ? default) { file = "default"; value = lib.mkOptionDefault option.default; };
      held = discharge (defs ++ default);
      merged = mergeOne (typeOf option) loc held;
    in
    if option.readOnly or false && length (defs ++ default) > 1 then
      throw "The option `${at loc}' is read-only, but it's set multiple times."
    else if option ? apply then
      option.apply merged
    else
      merged;

  # → { options; config; unmatched } below one prefix.
  evalTree =
    prefix: optionSets: defs:
    let
      defSets = concatMap (def: map (value: { inherit (def) file; inherit value; }) (pushDown def.value)) defs;
      names = lib.unique (concatMap attrNames optionSets);
      under = name: concatMap (def: lib.optional (def.value ? ${name}) { inherit (def) file; value = def.value.${name}; }) defSets;
      one =
        name:
        let
          decls = concatMap (set: lib.optional (set ? ${name}) set.${name}) optionSets;
          loc = prefix ++ [ name ];
          option = builtins.foldl' (a: b: a // b) { } decls;
        in
        if builtins.any isOption decls && length decls > 1 then
          throw "The option `${at loc}' is declared twice${if builtins.all isOption decls then "" else ", once as a set of options"}"
        else if builtins.any isOption decls then
          {
            options = option // { type = typeOf option; inherit loc; };
            config = evalOption loc option (under name);
            unmatched = [ ];
          }
        else
          evalTree loc decls (under name);
      parts = lib.genAttrs names one;
      strangers = concatMap (
        def: map (name: { inherit (def) file; loc = prefix ++ [ name ]; }) (filter (name: !(builtins.elem name names)) (attrNames def.value))
      ) defSets;
    in
    {
      options = builtins.mapAttrs (_: part: part.options) parts;
      config = builtins.mapAttrs (_: part: part.config) parts;
      unmatched = strangers ++ concatMap (name: parts.${name}.unmatched) names;
    };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      loaded = collect {
        file = "<unknown-file>";
        args = {
          given = { inherit lib; inherit (tree) options config; } // specialArgs;
          late = builtins.foldl' (a: b: a // b) { } (map (module: module.args) loaded);
        };
      } modules;
      tree = evalTree prefix (map (module: module.options) loaded) (
        map (module: { inherit (module) file; value = withoutArgs module.config; }) loaded
      );
      stranger = head tree.unmatched;
      config =
        if tree.unmatched != [ ] then
          throw "The option `${at stranger.loc}' does not exist. Definition values: in `${stranger.file}'"
        else
          tree.config;
    in
    {
      inherit config;
      inherit (tree) options;
      _module.args = { };
    };
  withoutArgs = config: if config ? _module then removeAttrs config [ "_module" ] else config;
in
{
  inherit evalModules;
  modules = {
    inherit discharge mergeOne;
    last = list: builtins.elemAt list (length list - 1);
    number = f: list: builtins.genList (i: f (i + 1) (builtins.elemAt list i)) (length list);
  };
  toList = value: if isList value then value else [ value ];
  inherit isOption;
}
