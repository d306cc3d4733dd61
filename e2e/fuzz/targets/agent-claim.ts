// A registration in the name of a machine that has registered already: from a stranger's address it changes nothing, whatever it says and has read.
import { createHash } from 'node:crypto';
import { RegisterRequest } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import { Admission, type AdmissionWorld } from '../../../controller/src/core/admission.ts';
import { HostBook } from '../../../controller/src/core/hosts.ts';
import type { Host } from '../../../controller/src/machine/host.ts';
import type { Happening } from '../../../controller/src/machine/life.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { TokenBook } from '../../../controller/src/machine/token.ts';
import { must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

const mac = '52:54:00:12:34:56' as Mac;
const host: Host = {
  name: 'machine1',
  flakeAttr: 'machine1',
  macs: [mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
};
const [used, unused, old] = ['00', '01', '02'].map((byte) => byte.repeat(16)) as [string, string, string];
const agentKey = createHash('sha256').update('key').digest('hex');
const inventory = Inventory.fromPartial({ nics: [{ name: 'eth0', mac }] });
const own = '10.0.0.7';
const strangers = ['10.0.0.66', '10.0.0.77', '192.168.7.7'] as const;

/** Its machine has registered; `alive`: and was heard a moment ago. */
function scene(alive: boolean) {
  let count = 0;
  const tokens = new TokenBook((bytes) => new Uint8Array(bytes).fill(count++));
  for (let i = 0; i < 3; i++) tokens.issue(mac, host.name, 0);
  tokens.take(old, mac, 'key of an earlier boot', 500);
  tokens.take(used, mac, agentKey, 1000);
  const happened: Happening[] = [];
  const admission = new Admission({
    core: {
      life: () => ({ host: host.name, stage: 'preflight', bootId: 'b', address: own }),
      happened: (_host: string, happening: Happening) => {
        happened.push(happening);
        return { moved: true };
      },
    },
    hosts: new HostBook([host]),
    tokens,
    registrations: { get: () => ({ bootId: 'b', mac, sshHostKey: '', inventory }), put: () => {} },
    installer: () => undefined,
    macAt: (address: string) =>
      address === own
        ? mac
        : address === '10.0.0.66'
          ? '02:00:00:00:00:66'
          : address === '10.0.0.77'
            ? undefined
            : 'foreign',
    alive: () => alive,
    authorizedKeys: [],
    credentialSecret: new Uint8Array(32).fill(3),
    fingerprint: 'c'.repeat(64),
    httpPort: 7480,
    grpcPort: 7481,
    now: () => 1000,
    ticks: () => 1000,
    emit: () => {},
  } as unknown as AdmissionWorld);
  return { admission, happened };
}

const claim = (token: string, key: string, bootId: string) =>
  RegisterRequest.encode({
    ...RegisterRequest.fromPartial({ token, mac, bootId, inventory, agentVersion: '1', address: own }),
    sshHostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
    agentKey: Buffer.from(key),
  }).finish();

export const target: Target = {
  name: 'agent-claim',
  seeds: [claim(used, 'other', 'b2'), claim(unused, 'other', 'b2'), claim(old, 'other', 'b2'), claim(used, 'key', 'b')],
  dictionary: [used, unused, old, mac, 'key', 'b', own, Uint8Array.of(0x0a, 32), Uint8Array.of(0x42, 0)],
  allowed: [WireError],
  run(bytes) {
    const asked = decoded(RegisterRequest, bytes);
    const isMachine = createHash('sha256').update(asked.agentKey).digest('hex') === agentKey && asked.bootId === 'b';
    for (const alive of [true, false]) {
      for (const stranger of strangers) {
        const { admission, happened } = scene(alive);
        const answer = admission.register(asked, { address: stranger, port: 4711 });
        must(happened.length === 0, 'a stranger stops nobody and takes nobody’s place');
        // The machine itself may come once more by another way: it alone has its key.
        must('refused' in answer || isMachine, 'a stranger is not believed');
      }
      const { admission, happened } = scene(alive);
      admission.register(asked, { address: own, port: 4711 });
      must(happened.length <= 1, 'one claim moves a machine once');
      must(
        happened.every(({ kind }) => kind === (alive ? 'failed' : 'agent-registered') || kind === 'failed'),
        'while it is heard nobody takes its place',
      );
    }
  },
};
