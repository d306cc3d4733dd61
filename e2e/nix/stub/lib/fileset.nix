# Sets of files: every path that is named has to be there, as in nixpkgs. The whole root is given; nothing is built from it here.
rec {
  union = a: b: unions [ a b ];
  unions =
    paths:
    builtins.concatMap (
      path:
      if builtins.isList path then
        path
      else if builtins.pathExists path then
        [ path ]
      else
        throw "lib.fileset.unions: ${toString path} does not exist"
    ) paths;
  maybeMissing = path: if builtins.pathExists path then [ path ] else [ ];
  difference = a: b: builtins.seq (unions [ b ]) (unions [ a ]);
  fileFilter = predicate: path: builtins.seq predicate (unions [ path ]);
  toSource = { root, fileset }: builtins.seq (builtins.length (unions [ fileset ])) root;
}
