# Only keys come in from the network, and only those that the agent was given by its controller after both had proved who they are.
{ lib, ... }:
{
  services.openssh = {
    enable = lib.mkForce true;
    # One kind is made quickly at boot, and the agent reports it.
    hostKeys = lib.mkForce [
      {
        path = "/etc/ssh/ssh_host_ed25519_key";
        type = "ed25519";
      }
    ];
    settings = {
      PermitRootLogin = lib.mkForce "prohibit-password";
      PasswordAuthentication = lib.mkForce false;
      KbdInteractiveAuthentication = lib.mkForce false;
      UseDns = false;
      # nixos-anywhere opens several connections a second
      MaxStartups = "100:30:200";
    };
  };
}
