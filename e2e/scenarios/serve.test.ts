// `nixie serve` through its real doors: hosts that come, change and go with SIGHUP, the operator's commands, installed systems that check in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '../../controller/src/machine/event.ts';
import type { Stage } from '../../controller/src/machine/stage.ts';
import { makeTree, type Tree } from '../lab/agent/process.ts';
import { type Child, run, start } from '../lab/child.ts';
import { needFiles, needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan } from '../lab/net.ts';
import type { NixieRun } from '../lab/nixie-run.ts';
import { patienceMs, until } from '../lab/patience.ts';
import { makeToyService, type ToyService } from '../lab/toy-service.ts';

const skip = skipUnless(
  needNetns,
  needPrograms(['ip', 'setpriv', 'unshare', 'udhcpc', 'nix', 'nix-store', 'busybox', 'ssh', 'ssh-keygen', 'curl']),
  needFiles(['/usr/lib/ipxe/snponly.efi', '/usr/lib/ipxe/undionly.kpxe']),
);
const agent = fileURLToPath(new URL('../../agent/src/main.ts', import.meta.url));
const macs = { m1: '52:54:00:95:00:01', m2: '52:54:00:95:00:02', m3: '52:54:00:95:00:03' } as const;
const addresses = { m1: `${lan.prefix}.31`, m3: `${lan.prefix}.33` } as const;
const entry = (name: keyof typeof macs, more = {}) => ({ [name]: { mac_address: macs[name], ...more } });

describe('nixie serve', { skip, timeout: 900_000 }, () => {
  let service: ToyService;
  let serve: NixieRun;
  let tree: Tree;
  let station: Record<keyof typeof macs, string>;
  const children: Child[] = [];

  const stage = (host: string, stage: Stage, after = 0): Promise<RunEvent> =>
    serve.waitEvent(
      (event) =>
        event.event === 'stage' && event.host === host && event.stage === stage && serve.events.indexOf(event) >= after,
      2 * patienceMs,
    );
  const notice = (text: RegExp, after = 0): Promise<RunEvent> =>
    serve.waitEvent(
      (event) => event.event === 'notice' && text.test(event.text) && serve.events.indexOf(event) >= after,
      2 * patienceMs,
    );
  const reload = async (hosts: object | string): Promise<number> => {
    service.writeHosts(hosts);
    const { length } = serve.events;
    serve.signal('SIGHUP');
    await notice(/was read again/, length);
    return length;
  };
  /** The address that a DHCP client is given; undefined when nobody answers so many askings, a second apart. */
  const lease = async (name: keyof typeof macs, asks: number): Promise<string | undefined> => {
    const words = ['udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', String(asks), '-T', '1', '-V', 'nixie-agent'];
    const argv = service.net.inside(station[name], [...words, '-s', join(service.folder, 'client.sh')]);
    const { stdout } = await run(argv, { accept: true });
    return /^bound (\S+)/m.exec(stdout)?.[1];
  };
  const leased = async (name: keyof typeof macs) =>
    assert.match((await lease(name, 30)) ?? 'none', /^10\.77\.0\.1\d\d$/);
  /** What was told is in force a moment later: who asks at once may be answered still. */
  const silent = (name: keyof typeof macs) => until('silence', async () => (await lease(name, 2)) === undefined);

  before(async () => {
    service = await makeToyService('m1 = host "m1" { }; m2 = host "m2" { }; installer = host "installer" { };');
    writeFileSync(join(service.folder, 'client.sh'), '#!/bin/sh\necho "$1 $ip"\n', { mode: 0o755 });
    tree = makeTree();
    station = {
      m1: await service.plugIn('m1', macs.m1, addresses.m1),
      m2: await service.plugIn('m2', macs.m2),
      m3: await service.plugIn('m3', macs.m3, addresses.m3),
    };
  });
  after(async () => {
    await Promise.all(children.map((child) => child.stop()));
    tree?.remove();
    await service?.close();
  });

  test('commands without a controller say so', async () => {
    const { code, err } = await service.command('retry', 'm1');
    assert.equal(code, 3);
    assert.match(
      err,
      /^nixie: no controller answers at .*state\/operator\.sock; is it running, and is this its --state/,
    );
  });

  test('a host that a SIGHUP adds is answered and begins; a bad file changes nothing', async () => {
    service.writeHosts(entry('m1'));
    serve = service.start();
    await stage('m1', 'waking');
    await silent('m2');
    await reload({ ...entry('m1'), ...entry('m2') });
    await stage('m2', 'waking');
    await leased('m2');
    const at = await reload('{"m1": {"mac_address": "nonsense"}, "m2": {"mac": 1}}');
    const said = serve.events.slice(at).flatMap((event) => (event.event === 'notice' ? [event.text] : []));
    assert.ok(
      said.some((text) => /hosts\.json:1:\d+: \$\.m1\.mac_address: found "nonsense"/.test(text)),
      said.join('\n'),
    );
    assert.ok(said.some((text) => /\$\.m2/.test(text)) && said.some((text) => /holds on/.test(text)), said.join('\n'));
    await leased('m2');
    const { out } = await service.command('status');
    assert.match(
      out,
      /^host +stage +since +address +agent +progress, or reason\nm1 +waking .*\n(?: +.*\n)?m2 +(?:waking|firmware) /,
    );
  });

  test('a SIGHUP declares subnets: a host that is in one hears nothing on our own network any more', async () => {
    const cidr = '10.78.0.0/24';
    const far = { cidr, range: '10.78.0.100-10.78.0.199' };
    const bad = await reload({ $subnets: [{ cidr: '10.77.0.0/25' }], ...entry('m1'), ...entry('m2') });
    await notice(/subnet 10\.77\.0\.0\/25: it is in the network of eth0/, bad);
    const at = await reload({ $subnets: [far], ...entry('m1'), m2: { mac_address: macs.m2, subnet: cidr } });
    await notice(/was read again: changed: m2; other subnets/, at);
    await notice(/^subnet 10\.78\.0\.0\/24 behind foreign relays, DHCP: only server, 10\.78\.0\.100 to/, at);
    await stage('m2', 'waking', at);
    await silent('m2');
    const back = await reload({ ...entry('m1'), ...entry('m2') });
    await stage('m2', 'waking', back);
    await leased('m2');
  });

  test('cancel and retry, and what they refuse', async () => {
    const { length } = serve.events;
    assert.deepEqual(await service.command('cancel', 'm2'), { out: 'm2 is cancelled\n', err: '', code: 0 });
    await stage('m2', 'failed', length);
    const again = await service.command('cancel', 'm2');
    assert.deepEqual([again.code, again.out], [1, '']);
    assert.match(again.err, /^nixie: cancelled comes too late: m2 has ended as failed/);
    assert.deepEqual(await service.command('retry', 'm2', 'm9'), {
      out: 'm2 begins anew\n',
      err: 'nixie: there is no host "m9" in this run\n',
      code: 2,
    });
    await stage('m2', 'waking', length);
  });

  test('a removed host hears nothing any more; one that comes back begins', async () => {
    await reload(entry('m1'));
    await silent('m2');
    assert.equal((await service.command('retry', 'm2')).code, 2);
    const at = await reload({ ...entry('m1'), ...entry('m2') });
    await stage('m2', 'waking', at);
    await leased('m2');
  });

  test('a machine that ended stays so until it is changed or retried', async () => {
    const script = await run(
      service.net.inside(station.m1, ['curl', '-sS', `http://${lan.nixie}:7480/boot/${macs.m1}.ipxe`]),
    );
    const word = (name: string) => new RegExp(`nixie\\.${name}=(\\S+)`).exec(script.stdout)?.[1] ?? '';
    assert.match(word('token'), /^[0-9a-f]{32}$/, script.stdout);
    const words = ['--controller', `${lan.nixie}:7481`, '--fingerprint', word('fingerprint')];
    words.push('--token', word('token'), '--mac', macs.m1, '--root', tree.root, '--refused', 'wait');
    children.push(start(service.net.inside(station.m1, [process.execPath, agent, ...words]), { deadlineMs: 900_000 }));
    // Its tree has no network card at all, so it can't be the machine.
    await stage('m1', 'refused');
    const { length } = serve.events;
    await reload({ ...entry('m1'), ...entry('m2') });
    assert.equal(
      serve.events.slice(length).some((event) => event.event === 'stage' && event.host === 'm1'),
      false,
    );
    assert.equal((await service.command('retry', 'm1')).code, 0);
    await stage('m1', 'refused', length);
    const at = await reload({ ...entry('m1', { tags: ['x'] }), ...entry('m2') });
    await stage('m1', 'probing', at);
    await stage('m1', 'refused', at);
    assert.ok(readdirSync(join(service.state, 'gcroots')).some((name) => name.startsWith('reload-')));
  });

  test('an installed system checks in by the key that was placed, and is proved by that', async () => {
    const { out } = await service.command('status', '--json');
    const { host, toplevel } = JSON.parse(out.split('\n')[0]!) as { host: string; toplevel: string };
    assert.equal(host, 'm1', 'in the order of the hosts file');
    const keys = join(service.state, 'hostkeys/m3');
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    for (const file of [join(keys, 'ssh_host_ed25519_key'), join(service.folder, 'another')])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'm3', '-f', file]);
    // An earlier run was cut off while the new system booted.
    mkdirSync(join(service.state, 'marks'), { recursive: true });
    writeFileSync(join(service.state, 'marks/m3.json'), JSON.stringify({ toplevel }));
    const at = await reload({ ...entry('m1', { tags: ['x'] }), ...entry('m2'), ...entry('m3', { flake_attr: 'm1' }) });
    await stage('m3', 'proving', at);

    const installed = makeTree();
    try {
      mkdirSync(join(installed.root, 'run'));
      symlinkSync(toplevel, join(installed.root, 'run/booted-system'));
      const pem = join(service.state, 'tls.pem');
      const hex = execFileSync('openssl', ['x509', '-in', pem, '-noout', '-fingerprint', '-sha256'], {
        encoding: 'utf8',
      })
        .split('=')[1]!
        .trim()
        .replaceAll(':', '')
        .toLowerCase();
      const tell = (host: string, key: string) => {
        const words = ['--check-in', '--controller', `${lan.nixie}:7481`, '--fingerprint', hex, '--host', host];
        const argv = [process.execPath, agent, ...words, '--root', installed.root, '--ssh-host-key', key];
        return run(service.net.inside(station.m3, argv), { accept: true });
      };
      for (const [host, key] of [
        ['m3', join(service.folder, 'another')],
        ['m9', join(keys, 'ssh_host_ed25519_key')],
      ] as const) {
        const refused = await tell(host, key);
        assert.equal(refused.code, 1);
        assert.match(refused.stderr, /PERMISSION_DENIED: no host of this name has this key/);
      }
      assert.equal((await service.command('status', '--json')).out.includes('"proved"'), false);
      assert.equal((await tell('m3', join(keys, 'ssh_host_ed25519_key'))).code, 0);
      const proved = await stage('m3', 'proved', at);
      assert.equal(proved.event === 'stage' && proved.address, addresses.m3);
      // Said again it is only told.
      assert.equal((await tell('m3', join(keys, 'ssh_host_ed25519_key'))).code, 0);
    } finally {
      installed.remove();
    }
  });

  test('SIGTERM is its usual end', async () => {
    serve.signal('SIGTERM');
    assert.equal(await serve.status(), 0);
    assert.equal((await service.command('status')).code, 3);
  });
});
