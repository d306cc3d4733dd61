# From files to derivations. Every builder is the static busybox, so a build needs nothing of the host.
{ system, artefacts }:
rec {
  # A file that was put into the store by its hash: valid already, so this builder never runs.
  file =
    { name, sha256 }:
    derivation {
      inherit name system;
      builder = "/put-into-the-store-by-e2e-lab-image";
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = sha256;
    };

  # bin/busybox and a link for each of its applets. (A store *file* named HASH-busybox would not know which applet it is.)
  busybox = derivation {
    inherit (artefacts.busybox) name;
    inherit system;
    builder = "/put-into-the-store-by-e2e-lab-image";
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = artefacts.busybox.sha256;
  };

  # A derivation from a shell script; `env` becomes its variables.
  mk =
    name: env: script:
    derivation (
      {
        inherit name system;
        builder = "${busybox}/bin/busybox";
        args = [
          "sh"
          "-euc"
          "PATH=${busybox}/bin; ${script}"
        ];
      }
      // env
    );

  # A script or text with @name@ replaced, as one executable or plain file.
  text =
    name: executable: substitutions: source:
    mk name { inherit source; } ''
      cp $source file; chmod u+w file
      ${builtins.concatStringsSep "\n" (
        map (key: "sed -i 's|@${key}@|${substitutions.${key}}|g' file") (builtins.attrNames substitutions)
      )}
      ${if executable then "chmod 755 file" else ""}
      cp -p file $out
    '';
}
