// Why a machine did not come further: a closed list. docs/doctor.md is made of it, and a test makes each of them happen.
// Ids never change: programs read them.

export interface Cause {
  /** What the trail shows. */
  readonly symptom: string;
  readonly cause: string;
  readonly advice: string;
}

export const causes = {
  'unlisted-mac': {
    symptom: 'nothing heard of its MACs, but an unlisted MAC asks to boot',
    cause: 'the machine boots by a card that is not in the hosts file, or its MAC is misspelt there',
    advice: "compare the MAC heard with the machine's label, and add it to mac_addresses if it is this machine's",
  },
  'relay-away': {
    symptom: 'its relay is not connected to the controller',
    cause: "nixie relay isn't running there, or doesn't reach this controller at TCP 7482",
    advice:
      'look at nixie relay and its log there, and at firewalls between; its token says where it looks for this controller (nixie relay-token --list)',
  },
  'relay-refused': {
    symptom: 'its relay wants to connect and is refused',
    cause:
      'its token was revoked, is older than the newest of that name, was used by another relay, or two relays use it',
    advice: 'make a new one with nixie relay-token NAME, and bring it there; where two relays run, stop one',
  },
  'relay-no-plan': {
    symptom: 'its relay is connected and has not taken what it was told',
    cause: 'the relay can not do what the plan says, or is of another release',
    advice: 'nixie status shows its problems; let relay and controller be of one release',
  },
  'nothing-heard': {
    symptom: 'nothing heard of its MACs after waking',
    cause: 'it is off, on another network or VLAN, does not boot from this card, or sleeps without Wake-on-LAN',
    advice:
      'switch it on by hand; look at cable, link light and VLAN; put network boot behind the disk in its boot order, and switch Wake-on-LAN on in its setup',
  },
  'not-built': {
    symptom: 'failed before anything was written',
    cause: 'nothing could be built for it, or its boot script can not be made',
    advice: 'mend what the reason says; nixie check evaluates without starting anything',
  },
  'not-ready': {
    symptom: 'it asked before its configuration was evaluated and its installer built',
    cause: 'firmware gives up after a minute or two of silence',
    advice: 'start it again when its stage is waking; machines that nixie wakes itself ask in time',
  },
  'dhcp-off': {
    symptom: 'DHCP asked, silence: dhcp is off',
    cause: 'this run was started with --dhcp off',
    advice: 'give --dhcp proxy or a range, or have the DHCP server of the site name the boot file',
  },
  'no-loader': {
    symptom: 'DHCP asked, silence: no loader',
    cause: 'there is no iPXE here for the kind of firmware that asked',
    advice: 'install the package ipxe, or name a folder with --ipxe that holds the loader for its firmware',
  },
  'wrong-architecture': {
    symptom: 'DHCP asked, silence: wrong architecture',
    cause: 'its firmware is of another processor than its system in the hosts file',
    advice: 'correct "system" in the hosts file, or the MAC',
  },
  'unknown-architecture': {
    symptom: 'DHCP asked, silence: unknown architecture',
    cause: 'its firmware does not say what it is (option 93)',
    advice: 'switch the boot mode in its setup (UEFI or BIOS), or update its firmware',
  },
  'relay-mismatch': {
    symptom: 'DHCP asked over a relay, silence: another network, too many hops, unknown interface',
    cause:
      'the machine is in another network than its "subnet" or its address in the hosts file says, or packets go in a circle',
    advice: 'correct "subnet" or "address" of the host, or the cable; look at the relay',
  },
  'relay-undeclared': {
    symptom: 'DHCP asked over a relay, silence: undeclared subnet',
    cause: "it wants an address, and no declared subnet has the relay's address (giaddr)",
    advice:
      'declare the network in the hosts file: "$subnets": [{"cidr": "10.78.0.0/24"}], with "range" to give out its addresses',
  },
  'relay-unreachable': {
    symptom: 'asked over a relay; the answer was not taken by the network, or an address was offered and none taken',
    cause: "no way back to the relay's address in the machines' network (giaddr): no route here, or a firewall",
    advice: 'ip route get GIADDR here, and add the route; allow UDP 67 between this computer and the relay',
  },
  'reply-unsent': {
    symptom: 'the answer was not taken by the network',
    cause: 'no route to the relay, a firewall on this computer, or the interface went down',
    advice: 'look at ip route and the outgoing firewall rules here: nixie doctor --interface NAME',
  },
  'dhcp-malformed': {
    symptom: 'DHCP message that could not be read',
    cause: 'its firmware sends what breaks the protocol, or the network damages it',
    advice: 'record it with tcpdump -w, and look at it with nixie explain; update its firmware',
  },
  'asks-too-often': {
    symptom: 'it asks faster than any firmware does',
    cause: 'a loop in the network, or somebody copies its MAC',
    advice: 'look for a loop (spanning tree) and for the MAC in the tables of the switch',
  },
  flood: {
    symptom: 'more DHCP packets than are looked at',
    cause: 'a loop in the network, or an attack',
    advice: 'capture on the interface for a moment; boot on a network of its own',
  },
  'address-declined': {
    symptom: 'it declined the address that it was given',
    cause: 'another machine uses that address',
    advice: 'find the other one by its address; choose a range that nobody else gives out',
  },
  'other-proxy': {
    symptom: 'offer sent, no TFTP, no 4011; another server offered a boot file',
    cause: 'another ProxyDHCP or PXE server answered as well, and the machine took its word',
    advice: 'switch that server off for these MACs, or boot on another network',
  },
  'other-dhcp-server': {
    symptom: 'address offered, another server was chosen',
    cause: 'a second DHCP server gives out addresses on this network',
    advice: 'use --dhcp proxy beside it, or switch the other one off',
  },
  'no-address': {
    symptom: 'DISCOVER repeated, boot file offered, no REQUEST to anybody',
    cause: 'no DHCP server gave it an address, or DHCP snooping drops the offers',
    advice:
      'is a DHCP server on this network, with free addresses? If none: --dhcp range=FROM-TO. Mark the ports of both servers as trusted in the switch',
  },
  'offer-lost': {
    symptom: 'DISCOVER repeated, address offered, no REQUEST',
    cause: 'our offers do not reach it: DHCP snooping, a firewall here, or a one-way link',
    advice:
      "mark this computer's port as trusted in the switch; look at outgoing firewall rules: nixie doctor --interface NAME",
  },
  'offer-ignored': {
    symptom: 'boot file offered, address taken from another server, no 4011, no TFTP',
    cause: 'its firmware passed our offer over, or it was lost, or another boot server was faster',
    advice:
      'look for other boot servers with nixie doctor --interface NAME; mark our port as trusted in the switch (DHCP snooping); update its firmware',
  },
  'boot-server-answer-lost': {
    symptom: '4011 asked again and again, answered each time, no TFTP',
    cause: 'our answers from port 4011 do not arrive (PXE-E55)',
    advice: 'allow UDP 4011 in both directions between the networks and on this computer',
  },
  'loader-not-asked': {
    symptom: 'boot file told and taken, no TFTP',
    cause: 'its TFTP request does not arrive: a firewall on UDP 69, or a route to another computer',
    advice: 'allow UDP 69 to this computer, and from it all UDP ports back',
  },
  'http-boot-not-asked': {
    symptom: 'URL told to UEFI HTTP Boot, nothing fetched',
    cause: 'its firmware refuses plain http, or TCP 7480 is closed',
    advice: 'allow plain HTTP in its setup or choose PXE there; allow TCP 7480 to this computer',
  },
  'tftp-unanswered': {
    symptom: 'TFTP begins, nothing is ever acknowledged, with small packets already',
    cause: 'our answers do not arrive: a firewall that does not know TFTP, or address translation in between',
    advice: 'allow UDP from this computer from any port to the machine; no NAT between the two',
  },
  'tftp-mtu': {
    symptom: 'TFTP options agreed, block 1 sent again and again at a large block size',
    cause: 'the path has a smaller MTU than the interface here: a tunnel, or a switch without jumbo frames',
    advice: "set the interface's MTU here to what the path carries: ip link set NAME mtu 1400",
  },
  'tftp-loss': {
    symptom: 'TFTP stops in the middle, or many blocks are sent twice',
    cause: 'packets are lost: a bad cable, a duplex mismatch, an overloaded link',
    advice: 'look at the error counters of the switch port; change the cable',
  },
  'tftp-size-only': {
    symptom: 'TFTP asked for the size, never for the file',
    cause: 'the loader is larger than its firmware takes, or firmware stopped by itself',
    advice: 'try another build of the loader with --ipxe; update its firmware',
  },
  'tftp-aborted': {
    symptom: 'TFTP stopped by the machine in the middle',
    cause: 'its firmware has no room for the loader, or was interrupted',
    advice: 'try another build of the loader with --ipxe; read what its screen says',
  },
  'tftp-other-file': {
    symptom: 'TFTP asked us for a file of another name',
    cause: 'another DHCP server names the boot file, with this computer as the TFTP server',
    advice: "take options 66, 67 and next-server out of the other server's settings for these machines",
  },
  'tftp-busy': {
    symptom: 'TFTP refused: too many transfers at once',
    cause: 'more machines boot at the same moment than are served at once',
    advice: 'they ask again by themselves; wake fewer at a time',
  },
  'loader-silent': {
    symptom: 'loader sent whole, iPXE never asked',
    cause: 'Secure Boot refused the loader, or the loader hangs on this hardware',
    advice: 'switch Secure Boot off, or give a signed loader with --ipxe; try another build (snponly.efi, ipxe.efi)',
  },
  'ipxe-no-address': {
    symptom: 'iPXE asks for an address again and again, no REQUEST',
    cause: 'the link is not ready (spanning tree), or no DHCP server answers iPXE',
    advice: 'set the port of the switch to edge (portfast); look whether the DHCP server has free addresses',
  },
  'script-not-fetched': {
    symptom: 'iPXE has its address, no HTTP',
    cause: 'spanning tree still blocks the port, a firewall closes TCP 7480, or there is no route to this computer',
    advice: 'allow TCP 7480 to this computer; set the port of the switch to edge (portfast)',
  },
  'script-refused': {
    symptom: 'script asked for from an address that is not known as this MAC',
    cause: 'a router or proxy ARP stands in between, or another machine asks in its place',
    advice: 'let the machine boot on a network that this computer is in; look who has that address',
  },
  'kernel-not-fetched': {
    symptom: 'script fetched, no kernel',
    cause: 'the machine has too little memory for the installer, or iPXE stopped at its screen',
    advice: 'read its screen: the script says how much memory is missing; give it more, or make the image smaller',
  },
  'file-unknown': {
    symptom: 'it asked for a file that is not served',
    cause: 'the script is of an earlier image, or of another controller',
    advice: 'boot it anew; look for a second controller on this network',
  },
  'download-cut': {
    symptom: 'kernel or initrd was cut off',
    cause: 'it ran out of memory, lost its link, or was restarted',
    advice: 'read its screen; give it more memory; look at the error counters of the switch port',
  },
  'download-stalled': {
    symptom: 'kernel, initrd or image stands still',
    cause: 'the link is down or overloaded, iPXE hangs, or the boot stage gets no right chunk of the image',
    advice: 'look at the port of the switch, and at its screen, where a boot stage says what it lacks; start it again',
  },
  'boot-loop': {
    symptom: 'script fetched three times and more, no agent',
    cause: 'the kernel or the installer restarts the machine, or firmware goes round its boot entries',
    advice: 'read its screen while it boots (console=… in "boot"); more memory; boot order: disk first, network second',
  },
  'agent-silent': {
    symptom: 'kernel and initrd sent, agent silent for 180 s, no DHCP from the installer',
    cause: 'the installer has no driver for the network card, or too little memory to unpack',
    advice:
      'add the driver and its firmware to the image (boot.initrd.availableKernelModules, hardware.enableRedistributableFirmware); more memory',
  },
  'agent-cannot-reach': {
    symptom: 'the installer asked for an address, its agent never came',
    cause: 'TCP 7481 is closed, the installer got no address, or it has a route elsewhere only',
    advice: 'allow TCP 7481 to this computer; look at journalctl -u nixie-agent on its screen',
  },
  'agent-refused': {
    symptom: 'agent came, its registration was refused',
    cause: 'its token was expired, unknown or used: an old script, a boot of another run, or a replay',
    advice: 'boot it anew, so that it fetches a fresh script',
  },
  'two-machines': {
    symptom: 'two machines claim one MAC',
    cause: 'a MAC is there twice, or somebody pretends to be this machine',
    advice: 'find both by their addresses and MACs in the tables of the switch; give one its own MAC',
  },
  'agent-lost': {
    symptom: "the agent's session ended and did not come back",
    cause: 'the machine lost its power or link, or its address changed',
    advice: 'look at its screen and cable; nixie retry NAME begins anew',
  },
  'machine-refused': {
    symptom: 'refused before anything was written',
    cause: 'its disks hold data, or they are not what the hosts file expects',
    advice: 'if the data may be lost: --reinstall NAME or "wipe": true; otherwise correct the hosts file',
  },
  'partitioning-failed': {
    symptom: 'failed while partitioning',
    cause: 'disko could not do what the layout says',
    advice: 'read the last lines of its log; nixie retry NAME begins anew',
  },
  'cache-unused': {
    symptom: 'told of the binary cache, and its copy was pushed by ssh',
    cause: 'TCP 7480 is closed once the installer runs, its image sets other limits for nix, or its agent is too old',
    advice:
      'allow TCP 7480 from the machines to this computer; build the installer image anew with this release; --no-cache says no more of it',
  },
  'copy-failed': {
    symptom: 'failed while the closure was copied',
    cause: 'the connection or the new disk gave out, or another machine answered at its address',
    advice: 'read the reason; nixie retry NAME begins anew',
  },
  'install-failed': {
    symptom: 'failed in nixos-install',
    cause: 'activation or the boot loader failed',
    advice: 'read the last lines of its log; try the system in a virtual machine: nixos-rebuild build-vm',
  },
  'network-before-disk': {
    symptom: 'installed, and asks to boot from the network again',
    cause: 'its boot order has the network before the disk, or its boot loader can not be started',
    advice:
      'put the disk first in its boot order; look whether the configuration installs a boot loader for its firmware',
  },
  'not-back': {
    symptom: 'installed and rebooted, nothing heard of it',
    cause: 'the installed system does not start, or has no network',
    advice: 'look at its screen; does its configuration have the drivers of its disk and network card?',
  },
  'back-unproved': {
    symptom: 'the installed system asked for an address, and was not proved',
    cause: 'its SSH is closed, its address is not found, or it shows another host key',
    advice: 'allow SSH from this computer in its firewall, or have it check in (services.nixie-host)',
  },
  'not-provable': {
    symptom: 'it answers, and can not be proved to run its system',
    cause: 'it has another host key, or lets nobody in to ask',
    advice: 'give --ssh-key that may log in, or reinstall it by --reinstall NAME',
  },
  cancelled: {
    symptom: 'cancelled',
    cause: 'the operator ended it',
    advice: 'nixie retry NAME begins anew',
  },
  failed: {
    symptom: 'failed for a reason of its own',
    cause: 'none of the list; the reason says what is known',
    advice: 'read the reason and the last lines of its log',
  },
} as const satisfies Record<string, Cause>;

export type CauseId = keyof typeof causes;
