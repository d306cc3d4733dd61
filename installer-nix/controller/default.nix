# services.nixie: the controller as a service.
{
  imports = [
    ./options.nix
    ./checks.nix
    ./unit.nix
    ./sockets.nix
    ./firewall.nix
  ];
}
