# Hashes of what is downloaded for a build, which only a build can tell. `npm run nix:hashes` fills them (it builds each package until nix
# names the hash); a lock file that changed makes them wrong, and nix then says the right one. Only `lib.fakeHash` or what nix said stands here.
{ lib }:
{
  # the controller's and the agent's packages of pnpm-lock.yaml
  controller = lib.fakeHash;
  agent = lib.fakeHash;
}
