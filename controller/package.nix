# The controller: one bundle run by nixpkgs' Node, koffi beside it, and on its PATH all programs that it starts.
{
  lib,
  stdenv,
  fetchPnpmDeps,
  pnpmConfigHook,
  pnpm_10,
  nodejs_24,
  nodejs-slim_24,
  esbuild,
  makeBinaryWrapper,
  autoPatchelfHook,
  installShellFiles,
  nixos-anywhere,
  nix,
  openssh,
  gitMinimal,
  iproute2,
  busybox,
  util-linux,
  callPackage,
  commit ? "",
  ipxe ? callPackage ../installer-nix/ipxe.nix { },
}:
let
  hashes = import ../installer-nix/hashes.nix { inherit lib; };
  pnpm = pnpm_10;
in
stdenv.mkDerivation (finalAttrs: {
  pname = "nixie";
  inherit (lib.importJSON ./package.json) version;

  # No documents, tests or Nix files: an edit of these builds nothing anew.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.difference (lib.fileset.unions [
      ../package.json
      ../pnpm-lock.yaml
      ../pnpm-workspace.yaml
      ../proto/package.json
      (lib.fileset.fileFilter (file: file.hasExt "ts") ../proto)
      ../agent/package.json
      ../agent/proto-loader-stub.cjs
      ../e2e/package.json
      ./package.json
      ./build.mjs
      ./src
    ]) (lib.fileset.fileFilter (file: lib.hasSuffix ".test.ts" file.name) ../.);
  };

  pnpmWorkspaces = [ "@nixie/controller..." ];
  # Without the workspace's own tools.
  pnpmInstallFlags = [ "--prod" ];
  pnpmDeps = fetchPnpmDeps {
    inherit (finalAttrs)
      pname
      version
      src
      pnpmWorkspaces
      pnpmInstallFlags
      ;
    inherit pnpm;
    fetcherVersion = 3;
    hash = hashes.controller;
  };

  __structuredAttrs = true;
  strictDeps = true;
  nativeBuildInputs = [
    nodejs_24
    pnpm
    pnpmConfigHook
    esbuild
    makeBinaryWrapper
    installShellFiles
    # koffi's library is made for other Linuxes
    autoPatchelfHook
  ];
  buildInputs = [ (lib.getLib stdenv.cc.cc) ];
  env.NIXIE_ESBUILD = lib.getExe esbuild;

  buildPhase = ''
    runHook preBuild
    node controller/build.mjs
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    lib=$out/lib/nixie
    mkdir -p $lib/node_modules/@koromix
    cp -r controller/dist controller/package.json $lib/
    koffi=$(readlink -f controller/node_modules/koffi)
    cp -rL $koffi $lib/node_modules/
    cp -rL $koffi/../@koromix/koffi-linux-${if stdenv.hostPlatform.isAarch64 then "arm64" else "x64"} $lib/node_modules/@koromix/
    # for another C library, which autoPatchelf would look for
    rm -r $lib/node_modules/@koromix/*/musl_*
    makeBinaryWrapper ${lib.getExe nodejs-slim_24} $out/bin/nixie \
      --add-flags $lib/dist/bin/nixie.mjs \
      --prefix PATH : ${
        lib.makeBinPath [
          nixos-anywhere
          openssh
          gitMinimal
          iproute2
        ]
      } \
      --suffix PATH : ${
        lib.makeBinPath [
          nix
          # setpriv, for children of a run under sudo
          util-linux
          # cat, which sends files without copying them
          busybox
        ]
      } \
      --set-default NIXIE_IPXE ${ipxe} \
      --set-default NIXIE_COMMIT "${commit}"
    runHook postInstall
  '';
  postInstall = ''
    installShellCompletion --cmd nixie \
      --bash <($out/bin/nixie completion bash) \
      --zsh <($out/bin/nixie completion zsh) \
      --fish <($out/bin/nixie completion fish)
    $out/bin/nixie man-page > nixie.8
    installManPage nixie.8
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/nixie --version | grep -F "nixie ${finalAttrs.version} (${
      lib.optionalString (commit != "") "commit ${builtins.substring 0 12 commit}, "
    }"
    runHook postInstallCheck
  '';

  passthru = { inherit ipxe; };
  meta = {
    description = "Turns racks of blank machines into proved NixOS installations with one command";
    license = lib.licenses.mit;
    mainProgram = "nixie";
    platforms = lib.platforms.linux;
  };
})
