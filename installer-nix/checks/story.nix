# A story of e2e/stories as a NixOS VM test: the same machines and the same expectations as in the lab, with nixpkgs' installer image, real disko
# and nixos-anywhere, and NixOS itself on the disk.
{
  self,
  pkgs,
  installer,
  machine,
  file,
}:
let
  inherit (pkgs) lib;
  story = lib.importJSON file;
  prebuilt = import ./prebuilt.nix {
    inherit pkgs;
    configurations = {
      inherit installer;
    }
    // lib.listToAttrs (map ({ name, ... }: lib.nameValuePair name machine) story.machines);
  };
  hosts = lib.listToAttrs (
    map ({ name, mac, ... }: lib.nameValuePair name ({ mac_address = mac; } // story.hosts.${name} or { })) story.machines
  );
  blankMachine =
    one:
    let
      script = import ./vm.nix {
        inherit pkgs;
        inherit (one) mac firmware diskSerial;
      };
    in
    if story.dhcp != "only" then
      throw "story ${one.name}: in the VM test Nixie is the only DHCP server"
    else
      "create_machine(\"${script}\", name=\"${one.name}\")";
in
{
  name = "nixie-${lib.removeSuffix ".json" (baseNameOf file)}";
  nodes.controller = import ./controller.nix { inherit self prebuilt hosts; };
  testScript = ''
    import json
    import subprocess

    with open("${file}") as text:
        story = json.load(text)
    machines = {
    ${lib.concatMapStringsSep "\n" (one: "    \"${one.name}\": ${blankMachine one},") story.machines}
    }
    controller.start()
    controller.wait_for_unit("multi-user.target")
    for number, told in enumerate(story["runs"]):
        run = f"/root/run{number}"
        controller.succeed(
            f"systemd-run --unit=run{number} -E HOME=/root -E PATH=$PATH"
            f" sh -c '/etc/run-nixie >{run}.json 2>{run}.err; echo $? >{run}.status'"
        )
        if number == 0:
            for machine in machines.values():
                # it starts again by itself when it is installed
                machine.start(allow_reboot=True)
        controller.wait_for_file(f"{run}.status", timeout=2400)
        said = controller.succeed(f"cat {run}.err >&2; cat {run}.json")
        events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        status = int(controller.succeed(f"cat {run}.status"))
        assert status == told["status"], f"run {number} ended with {status}:\n{said}"
        results = {event["host"]: event["result"] for event in events if event["event"] == "result"}
        assert results == told["results"], f"run {number}: {results}"
        for name in machines:
            passed = [event["stage"] for event in events if event["event"] == "stage" and event["host"] == name]
            for stage in told.get("passes", []):
                assert stage in passed, f"{name} did not pass {stage}: {passed}"
        for name in told.get("blank", []):
            disk = str(machines[name].state_dir / "blank.qcow2")
            extents = subprocess.check_output(["${pkgs.qemu}/bin/qemu-img", "map", "-U", "--output=json", disk])
            assert not any(extent["data"] for extent in json.loads(extents)), f"{name} was written to"
  '';
}
