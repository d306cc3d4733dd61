# `nix flake init -t`: the examples are the templates.
let
  text = ''
    Put the address where you got Nixie from into `inputs.nixie.url`, your machines into `hosts.json`, then:
        nixie check --flake . --hosts hosts.json
  '';
  from = path: description: {
    inherit path description;
    welcomeText = text;
  };
in
{
  default = from ../examples/one-machine "One machine, installed over the network";
  fleet = from ../examples/fleet "Many machines with shared modules";
  zfs-encrypted = from ../examples/zfs-encrypted "A machine with an encrypted ZFS root that is unlocked over SSH";
}
