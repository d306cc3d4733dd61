import { NixAnswerError } from '../../../controller/src/nix/answer-error.ts';
import { readPathInfo } from '../../../controller/src/nix/closure.ts';
import { readAnswers, readHost, readInstaller } from '../../../controller/src/nix/expression.ts';
import { readMetadata } from '../../../controller/src/nix/pin.ts';
import { fileSeed } from '../seeds.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const path = '/nix/store/00000000000000000000000000000000-x';
const output = { drv: `${path}.drv`, out: path };
const host = {
  toplevel: output,
  diskoScript: output,
  system: 'x86_64-linux',
  hostName: 'a',
  diskDevices: { main: '/dev/sda' },
  sshEnabled: true,
  sshPorts: [22],
  sshHostKeys: [{ path: '/etc/ssh/k', type: 'ed25519' }],
  rootHasKeys: false,
};
const parts = { system: 'x86_64-linux', kernel: output, kernelFile: 'bzImage', ramdisk: output, toplevel: output };
const fixture = (name: string): Uint8Array => fileSeed(`controller/src/nix/fixtures/${name}.json`);

/** What is refused with the typed error counts as read. */
function refused(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof NixAnswerError)) throw error;
  }
}

export const target: Target = {
  name: 'nix-json',
  seeds: [
    ...['metadata-clean-2.26', 'metadata-clean-2.8', 'metadata-dirty-2.26', 'metadata-dirty-2.8'].map(fixture),
    ...['path-info-2.26', 'path-info-2.8', 'path-info-invalid-2.26', 'path-info-invalid-2.8'].map(fixture),
    bytesOf('{"version":1,"storeDir":"/nix/store","info":{"00-x":{"narSize":12}}}'),
    bytesOf(JSON.stringify({ names: ['a'], hosts: { a: { value: host } }, installers: { i: { value: parts } } })),
    bytesOf(
      JSON.stringify({ names: [], hosts: {}, installers: { i: { value: { bundle: output } }, j: { failed: true } } }),
    ),
  ],
  dictionary: [
    'null',
    '[]',
    '{}',
    '-1',
    '1e30',
    '""',
    '"narSize":',
    '"path":',
    '"locked":',
    '"dir":"a/b"',
    '"rev":',
    `"${path}"`,
  ],
  allowed: [NixAnswerError],
  run(bytes) {
    const json = text(bytes);
    refused(() => {
      for (const { narSize, narHash } of readPathInfo(json).values()) {
        must(Number.isSafeInteger(narSize) && narSize >= 0, 'sizes are bytes');
        must(narHash === undefined || /^[0-9a-f]{64}$/.test(narHash), 'a hash is of SHA-256');
      }
    });
    refused(() => readMetadata('.', json));
    const { hosts, installers } = readAnswers(json);
    const inner = (value: unknown): unknown => (value as { value?: unknown } | null)?.value;
    for (const value of Object.values(hosts)) readHost(inner(value));
    for (const value of Object.values(installers)) {
      const read = readInstaller(inner(value));
      if (typeof read !== 'string' && read.form === 'parts')
        must(!read.kernelFile.includes('/'), 'a kernel is a file name');
    }
  },
};
