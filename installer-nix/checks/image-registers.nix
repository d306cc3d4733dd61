# The image boots from the network on real firmware, its agent registers, and Nixie refuses the machine because its disk isn't the one that was
# expected: nothing is written.
{
  self,
  pkgs,
  installer,
  machine,
}:
let
  mac = "52:54:00:12:01:02";
  prebuilt = import ./prebuilt.nix {
    inherit pkgs;
    configurations = {
      inherit installer;
      machine1 = machine;
    };
  };
  hosts.machine1 = {
    mac_address = mac;
    expect_disks = [ { serial = "ANOTHER"; } ];
  };
in
{
  name = "nixie-image-registers";
  nodes.controller = import ./controller.nix { inherit self prebuilt hosts; };
  testScript = ''
    controller.start()
    controller.wait_for_unit("multi-user.target")
    controller.succeed("systemd-run --unit=run -E HOME=/root -E PATH=$PATH /etc/run-nixie")
    machine = create_machine("${import ./vm.nix { inherit pkgs mac; }}")
    machine.start(allow_reboot=True)
    controller.wait_until_succeeds("journalctl -u run -o cat | grep -q registered", timeout=900)
    controller.wait_until_succeeds("journalctl -u run -o cat | grep -q refused", timeout=300)
  '';
}
