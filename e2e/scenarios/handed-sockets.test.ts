// Sockets that systemd opens (the socket units of installer-nix/controller/sockets.nix): who gets them serves two LANs without any right.
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { joinTokenText } from '../../controller/src/machine/relay.ts';
import { run, start } from '../lab/child.ts';
import { needFiles, needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import type { DoorsArguments } from '../lab/sockets/doors.ts';
import { ovmf } from '../lab/sockets/firmware-packets.ts';
import { quiet, startTalker, type Talker } from '../lab/sockets/talker.ts';
import { lan1, lan2, makeTwoLans } from '../lab/sockets/two-lans.ts';

const skip = skipUnless(needNetns, needPrograms(['ip', 'setpriv', 'curl']));
const known = '52:54:00:91:00:01';
const leased = '52:54:00:91:00:02';
const file = (name: string): string => new URL(`../lab/sockets/${name}`, import.meta.url).pathname;

test('handed-over sockets answer as our own do, without a right', { skip, timeout: 400_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-handed-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755); // the doors belong to somebody else
  const loader = randomBytes(50_000);
  writeFileSync(join(folder, 'loader'), loader);
  const lans = await makeTwoLans();
  t.after(() => lans.close());
  const given: DoorsArguments = {
    interfaces: [
      { name: lan1.name, address: lan1.server, dhcp: 'proxy' },
      { name: lan2.name, address: lan2.server, dhcp: 'range' },
    ],
    machines: { [known]: '10.91.1.77', [leased]: '10.92.1.77' },
    loaders: { 'snponly.efi': join(folder, 'loader') },
  };
  // The address for the first LAN isn't the first of its interface: there is a socket for it. On the second one socket does all.
  const places = [
    ...[67, 4011].map((port) => ({ interface: lan1.name, address: lan1.server, port })),
    { interface: lan1.name, address: '0.0.0.0', port: 69 },
    ...[67, 4011, 69].map((port) => ({ interface: lan2.name, address: '0.0.0.0', port })),
  ];
  const talker = async (namespace: string, name: string, ...args: string[]): Promise<Talker> => {
    const started = await startTalker(lans.inside(namespace, [process.execPath, file(name), ...args]));
    t.after(() => started.stop());
    return started;
  };
  const program = ['nobody', file('doors.ts'), JSON.stringify(given)];
  const doors = await talker(lans.server, 'hand-over.ts', JSON.stringify(places), ...program);
  assert.deepEqual(
    doors.heard.filter(({ error }) => error !== undefined),
    [],
  );
  const one = await talker(lans.station1, 'station.ts', '68,4011');
  const two = await talker(lans.station2, 'station.ts', '68,4011');
  const heard = async (station: Talker, least: 0 | 1) =>
    (await quiet(station, least)).map(({ port, from, fromPort }) => ({ port, from, fromPort }));

  for (const [station, other, lan, mac] of [
    [one, two, lan1, known],
    [two, one, lan2, leased],
  ] as const) {
    await station.ask({ hex: ovmf('DISCOVER', mac), fromPort: 68, to: '255.255.255.255', port: 67 });
    assert.deepEqual(await heard(station, 1), [{ port: 68, from: lan.server, fromPort: 67 }]);
    assert.deepEqual(await heard(other, 0), []);
    await station.ask({ hex: ovmf('boot server REQUEST', mac), fromPort: 4011, to: lan.server, port: 4011 });
    assert.deepEqual(await heard(station, 1), [{ port: 4011, from: lan.server, fromPort: 4011 }]);
  }
  for (const [namespace, lan] of [
    [lans.station1, lan1],
    [lans.station2, lan2],
  ] as const) {
    const argv = ['curl', '-sS', '-m', '60', '-o', 'got', `tftp://${lan.server}/snponly.efi`];
    await run(lans.inside(namespace, argv), { cwd: folder });
    assert.ok(readFileSync(join(folder, 'got')).equals(loader));
  }
});

test('nixie serve takes them over', {
  skip: skipUnless(
    needNetns,
    needPrograms(['ip', 'setpriv', 'nix', 'ssh', 'ssh-keyscan']),
    needFiles(['/usr/lib/ipxe/snponly.efi']),
  ),
  timeout: 400_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-handed-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const lans = await makeTwoLans();
  t.after(() => lans.close());
  writeFileSync(join(folder, 'hosts.json'), JSON.stringify({ m1: { mac_address: known } }));
  const places = [67, 69, 4011].map((port) => ({ interface: lan2.name, address: '0.0.0.0', port }));
  const words = ['serve', '--flake', `path:${folder}/none`, '--installer', `path:${folder}/none#i`, '--json'];
  words.push('--hosts', join(folder, 'hosts.json'), '--state', join(folder, 'state'), '--ipxe', '/usr/lib/ipxe');
  words.push('--nixos-anywhere', '/bin/true', '--interface', lan2.name, '--dhcp', 'proxy');
  const nixie = new URL('../../controller/bin/nixie.js', import.meta.url).pathname;
  const lines: string[] = [];
  const served = Promise.withResolvers<void>();
  const argv = [process.execPath, file('hand-over.ts'), JSON.stringify(places), 'root', nixie, ...words];
  const child = start(lans.inside(lans.server, argv), {
    deadlineMs: 300_000,
    onLine: (line) => {
      lines.push(line);
      if (/serving lan2/.test(line)) served.resolve();
    },
  });
  t.after(() => child.stop());
  await Promise.race([served.promise, child.exited.then(() => Promise.reject(new Error(lines.join('\n'))))]);
  const { stdout } = await run(lans.inside(lans.server, ['cat', '/proc/net/udp']));
  const bound = [...stdout.matchAll(/: ([0-9A-F]{8}):(0043|0045|0FAB) /g)].map(
    ([, address, port]) => `${address}:${port}`,
  );
  // Of its own there would be two each for 67 and 4011, and one to its address for 69.
  assert.deepEqual(bound.sort(), ['00000000:0043', '00000000:0045', '00000000:0FAB']);
});

test('nixie relay takes them over, and needs no right', {
  skip: skipUnless(needNetns, needPrograms(['ip', 'setpriv'])),
  timeout: 400_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-handed-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const lans = await makeTwoLans();
  t.after(() => lans.close());
  const token = join(folder, 'token');
  const endpoint = 'https://192.0.2.7';
  writeFileSync(
    token,
    joinTokenText({ name: 'rack7', url: endpoint, fingerprint: 'a'.repeat(64), secret: randomBytes(32) }),
    { mode: 0o400 },
  );
  for (const path of [folder, token]) chownSync(path, 61_000, 61_000);
  const places = [lan1, lan2].flatMap(({ name }) =>
    [67, 69, 4011].map((port) => ({ interface: name, address: '0.0.0.0', port })),
  );
  const nixie = new URL('../../controller/bin/nixie.js', import.meta.url).pathname;
  const words = ['relay', '--token', token, '--state', join(folder, 'state'), '--interface', lan2.name];
  words.push('--interface', lan1.name);
  const lines: string[] = [];
  const open = Promise.withResolvers<void>();
  const argv = [process.execPath, file('hand-over.ts'), JSON.stringify(places), 'nobody', nixie, ...words];
  const child = start(lans.inside(lans.server, argv), {
    deadlineMs: 300_000,
    onLine: (line) => {
      lines.push(line);
      if (/relay=rack7/.test(line)) open.resolve();
    },
  });
  t.after(() => child.stop());
  await Promise.race([open.promise, child.exited.then(() => Promise.reject(new Error(lines.join('\n'))))]);
  const { stdout } = await run(lans.inside(lans.server, ['cat', '/proc/net/udp']));
  const bound = [...stdout.matchAll(/: ([0-9A-F]{8}):(0043|0045|0FAB) /g)].map(
    ([, address, port]) => `${address}:${port}`,
  );
  assert.deepEqual(
    bound.sort(),
    ['0043', '0043', '0045', '0045', '0FAB', '0FAB'].map((port) => `00000000:${port}`),
  );
  // The room for bursts that they were given, which somebody without a right could only take from them.
  assert.ok(!lines.some((line) => line.includes('the kernel keeps')), lines.join('\n'));
});

test('systemd’s own hand is understood', {
  skip: skipUnless(needPrograms(['systemd-socket-activate'])),
  timeout: 200_000,
}, async () => {
  const listen = fileURLToPath(new URL('../../controller/src/listen/inherited.ts', import.meta.url));
  // It has no word for an interface: so the sockets are found, and the mistake is named.
  const program = `import { inheritedUdp } from ${JSON.stringify(listen)};
    try { inheritedUdp(process.env, process.pid); } catch (error) { console.log(error.message); }`;
  // A port that nobody is given who asks for any, at an address that nobody else uses.
  const port = randomInt(10_000, 30_000);
  const address = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  const lines: string[] = [];
  const node = [process.execPath, '--input-type=module', '-e', program];
  const child = start(['systemd-socket-activate', '-d', '-l', `${address}:${port}`, '--fdname=lan.socket', ...node], {
    deadlineMs: 120_000,
    onLine: (line) => void lines.push(line),
  });
  // It starts the program when something comes.
  const knock = dgram.createSocket('udp4');
  const knocking = setInterval(() => knock.send('knock', port, address, () => {}), 100);
  await child.exited;
  clearInterval(knocking);
  knock.close();
  assert.match(
    lines.join('\n'),
    new RegExp(`lan\\.socket of systemd: found udp ${address.replaceAll('.', '\\.')}:${port} on every interface`),
  );
});
