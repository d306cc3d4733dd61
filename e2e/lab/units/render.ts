// The units of a controller, a relay and an installed host as the NixOS modules write them, in one machine: names, addresses, and the text of the units.
import { buildAgent } from '../../../agent/build.mjs';
import type { NixBox } from '../../nix/nix.ts';
import { buildPackage } from '../../nix/package-build.ts';
import { system, unitOf } from '../../nix/units.ts';
import type { Own } from './store.ts';

/** Cards of the machine: the controller's, those of two stations on the same LAN, `m1` and `m2`, and the relay's. */
export const cards = {
  lan: { name: 'lan0', mac: '52:54:00:51:00:01', address: '10.9.1.1' },
  m1: { name: 'sta1', mac: '52:54:00:51:00:02' },
  m2: { name: 'sta2', mac: '52:54:00:51:00:03', address: '10.9.1.50' },
  site: { name: 'site0', mac: '52:54:00:52:00:01', address: '10.9.2.1' },
} as const;

const controller = (more: string) => `{ services.nixie = {
  enable = true; flake = "path:/etc/nixos"; sshKeyFile = "/etc/nixie/id_ed25519"; credentials.disk = "/run/keys/disk"; ${more}
  hosts.m1 = { macAddress = "${cards.m1.mac}"; secrets.diskKeys."/tmp/disk.key" = "credential:disk"; };
  hosts.m2 = { macAddress = "${cards.m2.mac}"; flakeAttr = "m1"; };
}; }`;
const handedSockets = `interfaces = [ "${cards.lan.name}" ]; dhcp = { mode = "range"; from = "10.9.1.100"; to = "10.9.1.110"; };`;
/** The sockets are its own, and so it has rights. */
const ownSockets = 'hearOtherServers = true;';
const relay = `{ services.nixie-relay = { enable = true; interfaces = [ "${cards.site.name}" ]; tokenFile = "/run/keys/relay"; }; }`;
const host = (fingerprint: string) => `{ networking.hostName = "m1"; services.nixie-host = {
  enable = true; controller = "${cards.lan.address}:7481"; fingerprint = "${fingerprint}";
}; }`;

export interface Rendered {
  /** Their text by file name. */
  readonly units: Readonly<Record<string, string>>;
  /** nixie.service of a controller whose interfaces aren't named, and that hears other servers: it has rights. */
  readonly withRights: string;
  readonly hostsJson: string;
  readonly own: Own;
}

export async function renderUnits(box: NixBox, work: string): Promise<Rendered> {
  const packages = 'nixie.packages.x86_64-linux';
  const found = await box.value<Omit<Rendered, 'own'> & { nixie: string; agent: string }>(`let
    controller = ${system(controller(handedSockets))};
    relay = ${system(relay)};
    text = sys: name: sys.config.systemd.units.\${name}.text;
  in {
    units = lib.genAttrs [ "nixie.service" "nixie-${cards.lan.name}.socket" ] (text controller)
      // lib.genAttrs [ "nixie-relay.service" "nixie-relay-${cards.site.name}.socket" ] (text relay);
    withRights = ${unitOf(system(controller(ownSockets)), 'nixie')};
    hostsJson = controller.config.environment.etc."nixie/hosts.json".source.text;
    nixie = "\${${packages}.nixie}"; agent = "\${${packages}.nixie-agent}";
  }`);
  const { nixie, agent, ...rendered } = found;
  return {
    ...rendered,
    own: {
      nixie: { built: await buildPackage(box, 'nixie', work, 'c0ffee'.repeat(7).slice(0, 40)), storePath: nixie },
      agent: { executable: (await buildAgent()).path, storePath: agent },
    },
  };
}

/** nixie-host.service, for the controller with this certificate. */
export const renderHost = (box: NixBox, fingerprint: string): Promise<string> =>
  box.value<string>(unitOf(system(host(fingerprint)), 'nixie-host'));
