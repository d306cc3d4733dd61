// RegisterRequest as it comes from the wire, into the admission of a run that waits for one machine.
import { RegisterRequest } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import { Admission, type AdmissionWorld } from '../../../controller/src/core/admission.ts';
import { HostBook } from '../../../controller/src/core/hosts.ts';
import type { Host } from '../../../controller/src/machine/host.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { readCredential, TokenBook } from '../../../controller/src/machine/token.ts';
import { must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

const mac = '52:54:00:77:00:01' as Mac;
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
const secret = new Uint8Array(32).fill(3);
const token = '00000000000000000000000000000000';

function admission(): Admission {
  const tokens = new TokenBook((bytes) => new Uint8Array(bytes));
  tokens.issue(mac, 'machine1', 0);
  return new Admission({
    core: { life: () => ({ stage: 'loading' }), happened: () => ({ moved: true }) },
    hosts: new HostBook([host]),
    tokens,
    registrations: { get: () => undefined, put: () => {} },
    installer: () => undefined,
    macAt: () => mac,
    authorizedKeys: [],
    credentialSecret: secret,
    fingerprint: 'c'.repeat(64),
    httpPort: 7480,
    grpcPort: 7481,
    now: () => 1000,
    ticks: () => 1000,
    emit: () => {},
  } as unknown as AdmissionWorld);
}

const request = RegisterRequest.fromPartial({
  token,
  mac,
  sshHostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
  agentKey: Buffer.from('key'),
  bootId: 'b',
  agentVersion: '1',
  address: '10.0.0.7',
  inventory: Inventory.fromPartial({
    schemaVersion: 1,
    disks: [{ name: 'sda', sizeBytes: 1n << 40n, partitions: [{ number: 1, sizeBytes: 5n }] }],
    nics: [{ name: 'eth0', mac }],
    errors: [{ section: 'disks', path: '/sys', code: 'EIO' }],
  }),
});
const full = RegisterRequest.encode(request).finish();

export const target: Target = {
  name: 'agent-register',
  seeds: [full, RegisterRequest.encode({ ...request, inventory: undefined }).finish()],
  dictionary: [
    token,
    mac,
    Uint8Array.of(0x0a, 32),
    Uint8Array.of(0x42, 0),
    Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
    'ssh-ed25519 ',
  ],
  allowed: [WireError],
  run(bytes) {
    const asked = decoded(RegisterRequest, bytes);
    const answer = admission().register(asked, { address: '10.0.0.7', port: 4711 });
    if ('refused' in answer) return;
    must(asked.token === token, 'only the token lets in');
    must(readCredential(secret, answer.credential)?.host === 'machine1', 'the credential is ours');
  },
};
