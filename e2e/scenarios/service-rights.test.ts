// The rights of nixie.service where systemd hands no sockets over (installer-nix/controller/unit.nix): an unknown user with one capability opens
// every door on its interface. With them it has none: handed-sockets.test.ts. That the unit says so: e2e/nix/controller-module.test.ts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import test from 'node:test';
import { run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';

const skip = skipUnless(needNetns, needPrograms(['setpriv', 'ip']));
const root = join(import.meta.dirname, '../..');

test('CAP_NET_BIND_SERVICE is enough, and needed', { skip, timeout: 60_000 }, async (t) => {
  const namespace = `nxrights-${randomBytes(4).toString('hex')}`;
  await run(['ip', 'netns', 'add', namespace]);
  t.after(() => run(['ip', 'netns', 'del', namespace]));
  for (const argv of ['link add d0 type veth peer name d1', 'addr add 10.9.9.1/24 dev d0', 'link set d0 up'])
    await run(['ip', '-n', namespace, ...argv.split(' ')]);
  const open = (...rights: string[]) => {
    const user = ['--reuid', '61000', '--regid', '61000', '--clear-groups', '--no-new-privs'];
    const program = [process.execPath, join(root, 'e2e/lab/sockets/open-doors.ts'), 'd0', '10.9.9.1'];
    return run(['ip', 'netns', 'exec', namespace, 'setpriv', ...user, ...rights, ...program], { accept: true });
  };
  const one = '+net_bind_service';
  const allowed = await open(`--inh-caps=${one}`, `--ambient-caps=${one}`, `--bounding-set=-all,${one}`);
  assert.equal(allowed.stdout, '61000 opened\n', allowed.stderr);
  const refused = await open('--bounding-set=-all');
  assert.match(refused.stderr, /NotRoot: bind udp 0\.0\.0\.0:67 on d0: not permitted/);
});
