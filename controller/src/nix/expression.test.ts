import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { askMany, nixString, readAnswers, readHost, readInstaller } from './expression.ts';

const out = '/nix/store/1bxvi5ya5kgacf2llzvqbb4gx62m97j1-nixos-system-m1';
const drv = '/nix/store/kp16lcx70xrb8ap8f3gnscsdbf5vs5cm-nixos-system-m1.drv';
const output = { drv, out };

test('a Nix string ends where it should, whatever is in it', () => {
  const open = '$' + '{';
  assert.equal(nixString(`a"b\\c${open}d}$e\n`), `"a\\"b\\\\c\\${open}d}$e\\n"`);
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', '\\', '$', '{', '}', 'x', '\n') }), (text) => {
      const inner = nixString(text).slice(1, -1);
      // Read by Nix's rules: a backslash takes the next character with it.
      const bare = inner.replace(/\\./g, '_');
      assert.ok(!bare.includes('"') && !bare.includes(open) && !inner.includes('\n'));
    }),
  );
});

test('names are selected as strings', () => {
  assert.match(askMany(['a.b', 'c"'], ['i']), /intersectAttrs \{ "a\.b" = 1; "c\\"" = 1; \} cs/);
});

test('a host with all it may have', () => {
  const value = {
    toplevel: output,
    diskoScript: output,
    system: 'x86_64-linux',
    hostName: 'm1',
    diskDevices: { main: '/dev/sda', second: '/dev/sdb' },
    sshEnabled: true,
    sshPorts: [22, 'x'],
    sshHostKeys: [{ path: '/etc/k', type: 'ed25519' }, { path: 1 }],
    rootHasKeys: false,
  };
  assert.deepEqual(readHost(value), {
    ...value,
    sshPorts: [22],
    sshHostKeys: [{ path: '/etc/k', type: 'ed25519' }],
  });
});

test('a layout of which one disk is not told is not known', () => {
  const value = { toplevel: output, diskoScript: output, diskDevices: { main: '/dev/sda', odd: null } };
  assert.deepEqual(readHost(value), { toplevel: output, diskoScript: output });
});

test('unknown is absent', () => {
  const value = {
    toplevel: output,
    diskoScript: output,
    system: null,
    hostName: null,
    diskDevices: {},
    sshHostKeys: null,
    rootHasKeys: null,
  };
  assert.deepEqual(readHost(value), { toplevel: output, diskoScript: output });
});

test('what a host lacks is said', () => {
  assert.match(String(readHost({ toplevel: output, diskoScript: null })), /diskoScript.*disko module/);
  assert.match(String(readHost({ toplevel: { drv: 'x', out: '/etc/passwd' }, diskoScript: output })), /toplevel/);
});

test('an installer is a bundle, or the parts', () => {
  assert.deepEqual(readInstaller({ bundle: output, system: 'x86_64-linux' }), {
    form: 'bundle',
    bundle: output,
    system: 'x86_64-linux',
  });
  const parts = { kernel: output, kernelFile: 'Image', ramdisk: output, toplevel: output };
  assert.deepEqual(readInstaller(parts), { form: 'parts', ...parts });
  assert.match(String(readInstaller({ ...parts, kernelFile: '../x' })), /not a file name/);
  assert.match(String(readInstaller({ kernel: output })), /netbootRamdisk/);
});

test('any answer is read or refused', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        const answers = readAnswers(text);
        assert.ok(Array.isArray(answers.names));
      } catch (error) {
        assert.ok(error instanceof Error);
      }
    }),
  );
  const value = fc.oneof(
    fc.anything(),
    fc.dictionary(fc.constantFrom('toplevel', 'diskoScript', 'bundle', 'system'), fc.anything()),
  );
  fc.assert(
    fc.property(value, (anything) => {
      for (const read of [readHost, readInstaller]) {
        const got = read(anything);
        assert.ok(typeof got === 'string' || typeof got === 'object');
      }
    }),
  );
});
