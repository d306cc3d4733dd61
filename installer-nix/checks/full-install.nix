# A blank machine becomes a proved installation: real firmware, nixpkgs' installer, disko, nixos-anywhere, boot loader, and the reboot from disk.
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
    expect_disks = [ { serial = "NIXIE1"; } ];
  };
in
{
  name = "nixie-full-install";
  nodes.controller = import ./controller.nix { inherit self prebuilt hosts; };
  testScript = ''
    controller.start()
    controller.wait_for_unit("multi-user.target")
    machine = create_machine("${import ./vm.nix { inherit pkgs mac; }}")
    machine.start(allow_reboot=True)
    # its exit status says it: 0 only when the machine is proved to run its system
    controller.succeed("HOME=/root timeout 1800 /etc/run-nixie >&2", timeout=2000)
    # and a second run leaves it alone
    again = controller.succeed("HOME=/root timeout 600 /etc/run-nixie", timeout=700)
    assert "skipped" in again, again
  '';
}
