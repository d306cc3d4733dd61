# mkInstaller { system, modules, specialArgs }: an installer image as a NixOS configuration. Whatever a module sets goes over what is set here.
{ nixpkgs, module }:
{
  system ? "x86_64-linux",
  modules ? [ ],
  specialArgs ? { },
}:
nixpkgs.lib.nixosSystem {
  inherit specialArgs;
  modules = [
    { nixpkgs.hostPlatform = nixpkgs.lib.mkDefault system; }
    module
  ]
  ++ modules;
}
