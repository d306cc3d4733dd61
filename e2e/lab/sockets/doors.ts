// Runs the real doors in this namespace, with a scene made of the arguments. Ended by the end of its input.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Scene, SceneMachine } from '../../../controller/src/answer/scene.ts';
import { installerScript, localScript } from '../../../controller/src/answer/script.ts';
import { type BootServerOptions, startBootServer } from '../../../controller/src/listen/boot-server.ts';
import { startHttp } from '../../../controller/src/listen/http.ts';
import { inheritedUdp } from '../../../controller/src/listen/inherited.ts';
import { chooseInterfaces, listInterfaces } from '../../../controller/src/listen/interfaces.ts';
import { wake } from '../../../controller/src/listen/wake.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';

export interface DoorsArguments {
  /** In this order, each with the address to use. */
  readonly interfaces: readonly { readonly name: string; readonly address: string; readonly dhcp: 'proxy' | 'range' }[];
  /** MAC to leased address. */
  readonly machines: Readonly<Record<string, string>>;
  /** Name to path. */
  readonly loaders: Readonly<Record<string, string>>;
  /** Boot scripts are real ones of an installer that needs this many bytes of memory. */
  readonly installerNeeds?: number;
  /** Served under `/f/`. */
  readonly bulk?: string;
}

const given = JSON.parse(process.argv[2]!) as DoorsArguments;
const say = (line: object): void => console.log(JSON.stringify(line));
const httpPort = 7480;
let offer: 'local' | 'installer' = 'installer';

/** Of files that are not there: what is looked at is how iPXE understands it. */
function installer(machine: string, mac: Mac, address: string, needsBytes: number): string {
  const files = {
    kernelSha256: '0'.repeat(64),
    initrdSha256: '1'.repeat(64),
    kernelParams: ['init=/init'],
    needsBytes,
  };
  const secrets = { fingerprint: 'f'.repeat(64), token: 'a'.repeat(32) };
  return installerScript(files, { machine, mac, address, httpPort, grpcPort: 7481, ...secrets, boot: [] });
}

const machines: Record<string, SceneMachine> = {};
const machineOfMac: Record<Mac, string> = {};
for (const [mac, address] of Object.entries(given.machines)) {
  const name = `machine-${mac.slice(-2)}`;
  machineOfMac[mac as Mac] = name;
  machines[name] = { name, offer: 'installer', system: 'x86_64-linux', addresses: { [mac]: address } };
}
const scene: Scene = {
  interfaces: Object.fromEntries(
    given.interfaces.map(({ name, address, dhcp }) => [
      name,
      { name, address, prefixLength: 24, dhcp, dns: [], leaseSeconds: 3600 },
    ]),
  ),
  machineOfMac,
  machines,
  loaders: { x64: 'snponly.efi', bios: 'undionly.kpxe' },
  httpPort,
};
const loaderFiles = new Map(
  Object.entries(given.loaders).map(([name, path]) => [name, new Uint8Array(readFileSync(path))]),
);
const options: Omit<BootServerOptions, 'interfaces'> = {
  scene,
  loaderFiles,
  onSeen: (seen) => say({ seen }),
  onNotice: (notice) => say({ notice }),
  onFailure: (error) => say({ failure: error.message }),
};

try {
  const all = listInterfaces();
  const links = given.interfaces.map(({ name, address }) => chooseInterfaces(all, { interfaces: [name], address })[0]!);
  const boot = await startBootServer({
    ...options,
    interfaces: links,
    inherited: inheritedUdp(process.env, process.pid),
  });
  const files = new Map();
  if (given.bulk !== undefined) {
    const bytes = readFileSync(given.bulk);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    files.set(`${sha256}/initrd`, { path: given.bulk, size: bytes.length, sha256 });
  }
  const http = await startHttp({
    addresses: links.map((link) => link.address),
    port: httpPort,
    script: ({ mac, localAddress }) => {
      const machine = machineOfMac[mac];
      if (machine === undefined) return { refuse: 'not listed' };
      if (offer === 'local') return { script: localScript(machine) };
      if (given.installerNeeds === undefined) return { script: `#!ipxe\necho at ${localAddress}\n` };
      return { script: installer(machine, mac, localAddress, given.installerNeeds) };
    },
    loaders: loaderFiles,
    files,
    onProgress: (progress) => say({ progress }),
  });
  say({ ready: true });
  const input = createInterface({ input: process.stdin });
  input.on('line', async (text) => {
    const request = JSON.parse(text) as { do: string; mac?: Mac; secureOn?: string; offer?: 'local' | 'installer' };
    if (request.do === 'counters') {
      say({ answer: true, ...(await boot.counters()), http: http.counters() });
    } else if (request.do === 'wake') {
      const secureOn = request.secureOn === undefined ? {} : { secureOn: Buffer.from(request.secureOn, 'hex') };
      say({ answer: true, ...(await wake(request.mac!, links, secureOn)) });
    } else if (request.do === 'offer') {
      offer = request.offer!;
      const changed = Object.values(machines).map((machine) => [machine.name, { ...machine, offer }]);
      await boot.setScene({ ...scene, machines: Object.fromEntries(changed) });
      say({ answer: true });
    }
  });
  input.on('close', async () => {
    await http.close();
    await boot.close();
    say({ closed: true });
    process.exit(0);
  });
} catch (error) {
  const { name, message, ...fields } = error as Error & Record<string, unknown>;
  say({ ready: true, error: { name, message, ...fields } });
}
