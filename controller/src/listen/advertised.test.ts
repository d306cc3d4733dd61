// Whatever a DHCP reply or a script names can be fetched: every recorded request of real firmware is answered in both modes, and what the
// answers name is asked of the real HTTP server and of the table of TFTP.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { answerDhcp } from '../answer/dhcp.ts';
import type { DhcpMode, Loaders, Scene } from '../answer/scene.ts';
import { installerScript } from '../answer/script.ts';
import type { Mac } from '../machine/mac.ts';
import { decodeDhcp, headerText, option } from '../wire/dhcp4/packet.ts';
import { startHttp } from './http.ts';
import { tableName } from './tftp.ts';

const recorded = readFileSync(new URL('../wire/dhcp4/fixtures/dhcp.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map(
    (line) => JSON.parse(line) as { op: number; src: string; sport: number; dport: number; chaddr: Mac; raw: string },
  )
  .filter(({ op }) => op === 1);

/** A BIOS whose card has no iPXE in its ROM asks as OVMF does but for the architecture; none was recorded. */
const plainBios = recorded
  .filter(({ raw }) => Buffer.from(raw, 'hex').includes('Arch:00007:UNDI:003000'))
  .map((one) => ({
    ...one,
    raw: one.raw
      .replace('5d020007', '5d020000')
      .replace(Buffer.from('Arch:00007').toString('hex'), Buffer.from('Arch:00000').toString('hex')),
  }));

const address = '10.77.0.1';
const loaders: Loaders = { bios: 'undionly.kpxe', x64: 'snponly.efi', arm64: 'snponly-arm64.efi' };
const loaderFiles = new Map(Object.values(loaders).map((name) => [name, Buffer.from(`loader ${name}`)]));

function sceneFor(mac: Mac, dhcp: DhcpMode, httpPort: number, arm: boolean): Scene {
  const at = { name: 'lan0', address, prefixLength: 24, dhcp, dns: [], leaseSeconds: 3600 };
  const system = arm ? ('aarch64-linux' as const) : ('x86_64-linux' as const);
  return {
    interfaces: { lan0: at },
    machineOfMac: { [mac]: 'm1' },
    machines: { m1: { name: 'm1', offer: 'installer', system, addresses: { [mac]: '10.77.0.99' } } },
    loaders,
    httpPort,
  };
}

test('every name and URL of a reply, and every URL of the script behind it, can be fetched', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-advertised-'));
  const contents = { kernel: Buffer.from('kernel'), initrd: Buffer.from('initrd') };
  const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  const files = new Map(
    Object.entries(contents).map(([name, bytes]) => {
      writeFileSync(join(folder, name), bytes);
      return [`${hash(bytes)}/${name}`, { path: join(folder, name), size: bytes.length, sha256: hash(bytes) }];
    }),
  );
  const installer = {
    kernelSha256: hash(contents.kernel),
    initrdSha256: hash(contents.initrd),
    kernelParams: [],
    needsBytes: 1,
  };
  const secrets = { fingerprint: 'f'.repeat(64), token: 'a'.repeat(32) };
  const server = await startHttp({
    addresses: ['127.0.0.1'],
    port: 0,
    script: ({ mac }) => ({
      script: installerScript(installer, {
        machine: 'm1',
        mac,
        address,
        httpPort: server.port,
        grpcPort: 7481,
        boot: [],
        ...secrets,
      }),
    }),
    loaders: loaderFiles,
    files,
  });
  const local = (url: string): string => {
    assert.ok(url.startsWith(`http://${address}:${server.port}/`), url);
    return url.replace(address, '127.0.0.1');
  };
  const kinds = {
    names: new Set<string>(),
    scripts: new Set<string>(),
    loaders: new Set<string>(),
    files: new Set<string>(),
  };
  try {
    for (const one of [...recorded, ...plainBios]) {
      for (const mode of ['proxy', 'range'] as const) {
        const packet = decodeDhcp(Buffer.from(one.raw, 'hex'));
        const scene = sceneFor(one.chaddr, mode, server.port, one.chaddr === '52:54:00:77:aa:64');
        const request = {
          packet,
          interface: 'lan0',
          port: one.dport === 4011 ? 4011 : 67,
          source: { address: one.src, port: one.sport },
        } as const;
        const answer = answerDhcp(request, scene);
        if (answer.kind === 'silence') continue;
        const named = option(answer.packet, 67);
        const texts = [
          headerText(answer.packet, 'file'),
          Buffer.from(named ?? [])
            .toString('latin1')
            .replace(/\0$/, ''),
        ];
        for (const text of texts.filter((each) => each !== '')) {
          if (!text.startsWith('http')) {
            assert.ok(loaderFiles.has(tableName(text)), text);
            kinds.names.add(text);
          } else if (!text.endsWith('.ipxe')) {
            const head = await fetch(local(text), { method: 'HEAD' });
            assert.deepEqual([head.status, head.headers.get('content-type')], [200, 'application/efi'], text);
            assert.ok((await (await fetch(local(text))).text()).startsWith('loader '));
            kinds.loaders.add(text);
          } else if (!kinds.scripts.has(text)) {
            const script = await (await fetch(local(text))).text();
            assert.ok(script.startsWith('#!ipxe\n'), text);
            kinds.scripts.add(text);
            for (const [url] of script.matchAll(/http:\/\/\S+/g)) {
              const got = await fetch(local(url));
              assert.equal(got.status, 200, url);
              assert.ok(Object.keys(contents).includes(await got.text()), url);
              kinds.files.add(url);
            }
          }
        }
      }
    }
  } finally {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
  assert.deepEqual([...kinds.names].sort(), ['snponly-arm64.efi', 'snponly.efi', 'undionly.kpxe']);
  assert.ok(kinds.scripts.size > 5 && kinds.loaders.size > 0 && kinds.files.size === 2, JSON.stringify(kinds));
});
