// The rights of nixie.service where systemd hands no sockets over (installer-nix/controller/unit.nix), and of nixie-relay.service
// (installer-nix/relay.nix): an unknown user with one capability opens every door on its interface. With sockets handed over it has none:
// handed-sockets.test.ts. That the units say so: e2e/nix/controller-module.test.ts, relay-module.test.ts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { joinTokenText } from '../../controller/src/machine/relay.ts';
import { run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { startRelay } from '../lab/relay/relay-process.ts';

const skip = skipUnless(needNetns, needPrograms(['setpriv', 'ip']));
const root = join(import.meta.dirname, '../..');

const user = ['--reuid', '61000', '--regid', '61000', '--clear-groups', '--no-new-privs'];
const one = '+net_bind_service';
const oneRight = [`--inh-caps=${one}`, `--ambient-caps=${one}`, `--bounding-set=-all,${one}`];
const noRight = ['--bounding-set=-all'];

/** A namespace with the card d0, which has 10.9.9.1. */
async function makeNamespace(t: TestContext): Promise<string> {
  const namespace = `nxrights-${randomBytes(4).toString('hex')}`;
  await run(['ip', 'netns', 'add', namespace]);
  t.after(() => run(['ip', 'netns', 'del', namespace]));
  for (const argv of [
    'link add d0 type veth peer name d1',
    'addr add 10.9.9.1/24 dev d0',
    'link set d0 up',
    'link set d1 up',
  ])
    await run(['ip', '-n', namespace, ...argv.split(' ')]);
  return namespace;
}

test('CAP_NET_BIND_SERVICE is enough, and needed', { skip, timeout: 300_000 }, async (t) => {
  const namespace = await makeNamespace(t);
  const open = (rights: readonly string[]) => {
    const program = [process.execPath, join(root, 'e2e/lab/sockets/open-doors.ts'), 'd0', '10.9.9.1'];
    return run(['ip', 'netns', 'exec', namespace, 'setpriv', ...user, ...rights, ...program], { accept: true });
  };
  const allowed = await open(oneRight);
  assert.equal(allowed.stdout, '61000 opened\n', allowed.stderr);
  const refused = await open(noRight);
  assert.match(refused.stderr, /NotRoot: bind udp 0\.0\.0\.0:67 on d0: not permitted/);
});

test('a relay needs no more', { skip, timeout: 300_000 }, async (t) => {
  const namespace = await makeNamespace(t);
  const state = mkdtempSync(join(tmpdir(), 'nxrights-'));
  t.after(() => rmSync(state, { recursive: true, force: true }));
  const token = join(state, 'token');
  const parts = { name: 'rack7', url: 'https://10.9.9.2', fingerprint: 'ab'.repeat(32), secret: randomBytes(32) };
  writeFileSync(token, `${joinTokenText(parts)}\n`, { mode: 0o400 });
  for (const path of [state, token]) chownSync(path, 61_000, 61_000);
  const begin = (rights: readonly string[]) => {
    const inside = (argv: readonly string[]) => [
      'ip',
      'netns',
      'exec',
      namespace,
      'setpriv',
      ...user,
      ...rights,
      ...argv,
    ];
    const relay = startRelay(inside, ['--token', token, '--interface', 'd0', '--state', join(state, 'relay')], 250_000);
    t.after(() => relay.stop());
    return relay;
  };
  const allowed = begin(oneRight);
  await allowed.logged({ event: 'relay', relay: 'rack7', interfaces: 'd0(10.9.9.1/24)' });
  assert.equal((await allowed.stop()).code, 0);
  const refused = begin(noRight);
  await refused.logged({ event: 'end', level: 'error' });
  assert.equal((await refused.child.exited).code, 3);
});
