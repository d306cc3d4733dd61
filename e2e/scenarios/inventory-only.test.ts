// `nixie --inventory-only` through its real doors: firmware's packets as recorded, the real agent over a tree of its own, and what is written.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readInventoryJson } from '@nixie/proto/inventory-json';
import { parseHosts } from '../../controller/src/config/hosts.ts';
import { makeTree, type Tree } from '../lab/agent/process.ts';
import { type Child, run, start } from '../lab/child.ts';
import { needFiles, needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan } from '../lab/net.ts';
import type { NixieRun } from '../lab/nixie-run.ts';
import { until } from '../lab/patience.ts';
import { ovmf } from '../lab/sockets/firmware-packets.ts';
import { startTalker, type Talker } from '../lab/sockets/talker.ts';
import { makeToyService, type ToyService } from '../lab/toy-service.ts';

const skip = skipUnless(
  needNetns,
  needPrograms(['ip', 'setpriv', 'unshare', 'nix', 'nix-store', 'busybox', 'ssh-keygen', 'curl']),
  needFiles(['/usr/lib/ipxe/snponly.efi', '/usr/lib/ipxe/undionly.kpxe']),
);
const agent = fileURLToPath(new URL('../../agent/src/main.ts', import.meta.url));
const stationFile = fileURLToPath(new URL('../lab/sockets/station.ts', import.meta.url));
const mac = '52:54:00:96:00:01';
const stranger = '52:54:00:97:00:01';
const address = `${lan.prefix}.31`;

describe('nixie --inventory-only', { skip, timeout: 900_000 }, () => {
  let service: ToyService;
  let nixie: NixieRun;
  let tree: Tree;
  let station: string;
  let firmware: Talker;
  let out: string;
  const children: Child[] = [];

  before(async () => {
    service = await makeToyService('installer = host "installer" { };');
    out = join(service.folder, 'found');
    tree = makeTree();
    tree.put('sys/block/vda/size', '16777216\n');
    tree.put('sys/block/vda/queue/rotational', '0\n');
    tree.put('sys/class/dmi/id/product_name', 'Toy 9\n');
    tree.put('sys/class/dmi/id/product_serial', 'T-1\n');
    station = await service.plugIn('m1', mac, address);
    await run(['ip', '-n', station, 'route', 'add', 'default', 'dev', 'eth0']);
    firmware = await startTalker(service.net.inside(station, [process.execPath, stationFile, '68,4011']));
  });
  after(async () => {
    await Promise.all(children.map((child) => child.stop()));
    await firmware?.stop();
    tree?.remove();
    await service?.close();
  });

  /** Asks as firmware does, again and again; what it is offered, or undefined. */
  const offered = async (asker: string, tries: number): Promise<Record<string, unknown> | undefined> => {
    const hex = ovmf('DISCOVER', asker);
    for (let i = 0; i < tries; i++) {
      await firmware.ask({ hex, fromPort: 68, to: '255.255.255.255', port: 67 });
      const mine = (line: Record<string, unknown>) => String(line.hex).slice(56, 68) === asker.replaceAll(':', '');
      const heard = await firmware.hear('an offer', mine, 1500).catch(() => undefined);
      if (heard !== undefined) return heard;
    }
    return undefined;
  };
  const script = async (): Promise<string> => {
    const url = `http://${lan.nixie}:7480/boot/${mac.replaceAll(':', '-')}.ipxe`;
    const { stdout } = await run(service.net.inside(station, ['curl', '-s', '--max-time', '60', url]), {
      accept: true,
    });
    return stdout;
  };

  test('what is wrong is said before anything is started', async () => {
    const refused = service.startWith('--inventory-only', '--out', out, '--any', 'everybody');
    assert.equal(await refused.status(), 2);
    assert.match(refused.tail(5), /--any: found "everybody"/);
  });

  test('a machine that may be booted is answered once it has asked; another one never', async () => {
    nixie = service.startWith('--inventory-only', '--out', out, '--any', '52:54:00:96', '--count', '1');
    await nixie.waitEvent((event) => event.event === 'notice' && /^reading machines/.test(event.text), 300_000);
    assert.equal(await offered(stranger, 3), undefined);
    const offer = await offered(mac, 40);
    assert.ok(offer, nixie.tail(20));
  });

  test('it is read, told to switch itself off, and written down; no key was let in', async () => {
    const text = await script();
    const kernel = /^kernel .*$/m.exec(text)?.[0] ?? '';
    assert.match(kernel, /nixie\.token=/, text);
    tree.put(
      'proc/cmdline',
      `${kernel
        .split(' ')
        .filter((word) => word.includes('='))
        .join(' ')} BOOTIF=01-${mac.replaceAll(':', '-')}\n`,
    );
    const argv = [process.execPath, agent, '--root', tree.root];
    const began = performance.now();
    let said = '';
    children.push(
      start(service.net.inside(station, argv), {
        deadlineMs: 600_000,
        onLine: (line) => {
          said += `${line}\n`;
        },
      }),
    );
    assert.equal(await nixie.status(), 0, `${nixie.tail(30)}\n${said}`);
    // Its agent has no nixos-facter and says so; a report that may come is waited for two minutes.
    assert.ok(performance.now() - began < 110_000);
    await until('the end of its agent', () => said.includes('poweroff: not done'));
    assert.match(said, /poweroff: the controller said so/);
    assert.match(said, /registered as machine-525400960001, 0 keys may log in/);
    const keys = join(tree.root, 'root/.ssh/authorized_keys');
    assert.ok(!existsSync(keys) || !readFileSync(keys, 'utf8').includes('ssh-'));

    const read = parseHosts(readFileSync(join(out, 'hosts.json')), 'hosts.json');
    assert.ok(read.ok);
    assert.deepEqual(
      read.hosts.map(({ name, macs, inventory }) => ({ name, macs, inventory })),
      [{ name: 'toy-9-t-1', macs: [mac], inventory: 'toy-9-t-1/inventory.json' }],
    );
    const inventory = readInventoryJson(readFileSync(join(out, 'toy-9-t-1/inventory.json'), 'utf8'));
    assert.equal(inventory.depth, 'full');
    assert.deepEqual(
      inventory.disks.map(({ path, sizeBytes }) => [path, sizeBytes]),
      [['/dev/vda', 8_589_934_592n]],
    );
    // Machines of nobody's leave nothing in the state folder.
    for (const name of ['registrations', 'hardware', 'begun', 'marks'])
      assert.ok(!existsSync(join(service.state, name)), name);
  });

  test('what is there is not overwritten', async () => {
    const again = service.startWith('--inventory-only', '--out', out, '--any');
    assert.equal(await again.status(), 2);
    assert.match(again.tail(5), /--out: found .*hosts\.json, which is not overwritten/);
  });
});
