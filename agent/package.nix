# nixie-agent, one executable: nixpkgs' Node with the agent's bundle in it. `script = true` makes the fallback, the same bundle run by that
# Node. Node is stripped before the bundle goes in: a file that is stripped or patched afterwards crashes, which nixpkgs does by itself.
{
  lib,
  stdenv,
  fetchPnpmDeps,
  pnpmConfigHook,
  pnpm_10,
  nodejs-slim_24,
  esbuild,
  makeBinaryWrapper,
  script ? false,
  commit ? "",
}:
let
  hashes = import ../installer-nix/hashes.nix { inherit lib; };
  pnpm = pnpm_10;
  node = nodejs-slim_24;
in
stdenv.mkDerivation (finalAttrs: {
  pname = if script then "nixie-agent-script" else "nixie-agent";
  inherit (lib.importJSON ./package.json) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.difference (lib.fileset.unions [
      ../package.json
      ../pnpm-lock.yaml
      ../pnpm-workspace.yaml
      ../proto/package.json
      (lib.fileset.fileFilter (file: file.hasExt "ts") ../proto)
      ../controller/package.json
      ../e2e/package.json
      ./package.json
      ./build.mjs
      (lib.fileset.maybeMissing ./trim-blob.mjs)
      ./proto-loader-stub.cjs
      ./src
    ]) (lib.fileset.fileFilter (file: lib.hasSuffix ".test.ts" file.name) ../.);
  };

  pnpmWorkspaces = [ "@nixie/agent..." ];
  pnpmDeps = fetchPnpmDeps {
    pname = "nixie-agent";
    inherit (finalAttrs) version src pnpmWorkspaces;
    inherit pnpm;
    fetcherVersion = 3;
    hash = hashes.agent;
  };

  __structuredAttrs = true;
  strictDeps = true;
  nativeBuildInputs = [
    node
    pnpm
    pnpmConfigHook
    esbuild
    makeBinaryWrapper
  ];
  env.NIXIE_ESBUILD = lib.getExe esbuild;
  env.NIXIE_COMMIT = commit;
  dontStrip = true;
  dontPatchELF = true;

  buildPhase = ''
    runHook preBuild
    node agent/build.mjs ${lib.optionalString script "--bundle agent.cjs"}
    runHook postBuild
  '';

  installPhase =
    if script then
      ''
        runHook preInstall
        install -D -m 644 agent.cjs $out/lib/nixie-agent/agent.cjs
        makeBinaryWrapper ${lib.getExe node} $out/bin/nixie-agent --add-flags $out/lib/nixie-agent/agent.cjs
        runHook postInstall
      ''
    else
      ''
        runHook preInstall
        install -D -m 755 agent/dist/nixie-agent $out/bin/nixie-agent
        runHook postInstall
      '';

  # agent/build.mjs has run it once; this is the file that is installed.
  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/nixie-agent --version | grep -F "nixie-agent ${finalAttrs.version} (${
      lib.optionalString (commit != "") "commit ${builtins.substring 0 12 commit}, "
    }"
    runHook postInstallCheck
  '';

  meta = {
    description = "The agent of Nixie, for installer images";
    license = lib.licenses.mit;
    mainProgram = "nixie-agent";
    platforms = lib.platforms.linux;
  };
})
