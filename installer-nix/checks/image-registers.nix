# The image boots from the network on real firmware, its agent registers, and Nixie refuses the machine because its disk is not the one that
# was expected: all that can be shown without a second system to install.
{
  self,
  installer,
  system,
}:
{ pkgs, lib, ... }:
let
  mac = "52:54:00:12:01:02";
  prebuilt = import ./prebuilt.nix {
    inherit pkgs;
    configurations = {
      inherit installer;
      # never installed: the disk is refused before
      machine1 = installer // {
        config = installer.config // {
          system = installer.config.system // {
            build = installer.config.system.build // {
              diskoScript = pkgs.writeShellScript "disko" "exit 1";
            };
          };
          networking = installer.config.networking // { hostName = "machine1"; };
          disko.devices.disk.main.device = "/dev/vda";
        };
      };
    };
  };
  hosts = pkgs.writeText "hosts.json" (
    builtins.toJSON {
      machine1 = {
        mac_address = mac;
        expect_disks = [ { serial = "ANOTHER"; } ];
      };
    }
  );
in
{
  name = "nixie-image-registers";
  nodes.controller = {
    virtualisation.vlans = [ 1 ];
    virtualisation.memorySize = 2048;
    virtualisation.additionalPaths = prebuilt.paths;
    networking.firewall.enable = false;
    environment.systemPackages = [ self.packages.${system}.nixie ];
    nix.settings.substituters = lib.mkForce [ ];
  };
  testScript = ''
    controller.start()
    controller.wait_for_unit("multi-user.target")
    controller.succeed("mkdir /root/lab && cp ${prebuilt.flake}/flake.nix /root/lab/ && cp ${prebuilt.json} /root/lab/configurations.json")
    controller.succeed(
        "systemd-run --unit=run -E HOME=/root nixie --flake path:/root/lab --installer path:/root/lab#nixosConfigurations.installer"
        " --hosts ${hosts} --interface eth1 --dhcp range=192.168.1.50-192.168.1.60 --json"
    )
    machine = create_machine("${import ./vm.nix { inherit pkgs mac; }}")
    machine.start()
    controller.wait_until_succeeds("journalctl -u run -o cat | grep -q registered", timeout=900)
    controller.wait_until_succeeds("journalctl -u run -o cat | grep -q refused", timeout=300)
  '';
}
