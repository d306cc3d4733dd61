# Sets of files, as lists of absolute paths: every path that is named has to be there, as in nixpkgs. `toSource` gives the root itself, with the
# names of the files below it as `files`: a test builds from these alone.
rec {
  unions = sets: builtins.attrNames (builtins.listToAttrs (map (name: { inherit name; value = null; }) (builtins.concatMap filesOf sets)));
  union = a: b: unions [ a b ];
  maybeMissing = path: if builtins.pathExists path then filesOf path else [ ];
  difference =
    a: b:
    let
      without = builtins.listToAttrs (map (name: { inherit name; value = null; }) (filesOf b));
    in
    builtins.filter (file: !(without ? ${file})) (filesOf a);
  fileFilter =
    predicate: path:
    builtins.filter (file: predicate { name = baseNameOf file; type = "regular"; hasExt = ext: matches ".*\\.${ext}" file; }) (filesOf path);
  toSource =
    { root, fileset }:
    {
      outPath = root;
      files = map (file: builtins.substring (builtins.stringLength (toString root) + 1) (-1) file) (filesOf fileset);
    };

  matches = pattern: text: builtins.match pattern text != null;
  filesOf =
    set:
    if builtins.isList set then
      set
    else if !builtins.pathExists set then
      throw "lib.fileset: ${toString set} does not exist"
    else
      below (toString set);
  below =
    path:
    if !isFolder path then
      [ path ]
    else
      let
        entries = builtins.readDir path;
      in
      builtins.concatMap (
        name: if entries.${name} == "directory" then below "${path}/${name}" else [ "${path}/${name}" ]
      ) (builtins.attrNames entries);
  isFolder = path: (builtins.readDir (dirOf path)).${baseNameOf path} == "directory";
}
