import assert from 'node:assert/strict';
import test from 'node:test';
import type { NixCall, NixResult, RunNix } from './command.ts';
import { type EvaluateOptions, evaluate } from './evaluate.ts';
import { NixError } from './failure.ts';

// A nix of the size of this test: it answers `--apply` by reading which names were selected.
interface FakeFlake {
  readonly hosts: readonly string[];
  readonly throwing?: readonly string[];
  readonly uncatchable?: readonly string[];
}

const hash = '0gkv8wq1yz50vcf6y645p8117ai0rjsl';
const output = (name: string) => ({ drv: `/nix/store/${hash}-${name}.drv`, out: `/nix/store/${hash}-${name}` });
const ok = (value: unknown): NixResult => ({ ended: 'exited', code: 0, stdout: JSON.stringify(value), stderr: '' });

function fakeNix(flake: FakeFlake): { run: RunNix; evals: NixCall[] } {
  const evals: NixCall[] = [];
  const fail = (call: NixCall, text: string): NixResult => {
    call.onLine?.(`@nix ${JSON.stringify({ action: 'msg', level: 0, msg: `error: ${text}`, raw_msg: text })}`);
    // As 2.8 does: half an answer.
    return { ended: 'exited', code: 1, stdout: '{"broken":}', stderr: '' };
  };
  const value = (name: string) => ({ toplevel: output(`sys-${name}`), diskoScript: output('disko'), hostName: name });
  const installer = {
    kernel: output('linux'),
    kernelFile: 'bzImage',
    ramdisk: output('initrd'),
    toplevel: output('i'),
  };
  const run: RunNix = async (call) => {
    const { args } = call;
    if (args[0] === 'flake') {
      const narHash = args.at(-1)!.includes('foreign') ? 'other' : 'same';
      return ok({ url: `locked:${args.at(-1)}`, locked: { type: 'git', rev: 'abc', narHash } });
    }
    evals.push(call);
    const expression = args.at(-1)!;
    if (expression === 'builtins.attrNames') return ok(flake.hosts);
    if (expression.startsWith('c:'))
      return ok({ ...installer, system: args.at(-3)!.includes('arm') ? 'aarch64-linux' : null });
    const one = /deepSeq \(host cs\."([^"]+)"\)/.exec(expression)?.[1];
    if (one !== undefined) return fail(call, `host ${one} is broken`);
    const [hosts, installers] = [...expression.matchAll(/intersectAttrs \{([^}]*)\} cs/g)].map((match) =>
      [...match[1]!.matchAll(/"([^"]+)"/g)].map((name) => name[1]!).filter((name) => flake.hosts.includes(name)),
    );
    const culprit = hosts!.find((name) => flake.uncatchable?.includes(name));
    if (culprit !== undefined) return fail(call, `attribute 'x' missing in ${culprit}`);
    return ok({
      names: flake.hosts,
      hosts: Object.fromEntries(
        hosts!.map((name) => [name, flake.throwing?.includes(name) ? { failed: true } : { value: value(name) }]),
      ),
      installers: Object.fromEntries(installers!.map((name) => [name, { value: installer }])),
    });
  };
  return { run, evals };
}

const base = { flake: '/fleet', installers: {}, cwd: '/fleet', probe: { exists: () => false }, nowMs: () => 0 };
const named = (names: readonly string[]) => names.map((name) => ({ name, flakeAttr: name }));
const ask = (nix: { run: RunNix }, names: readonly string[], more: Partial<EvaluateOptions> = {}) =>
  evaluate({ ...base, run: nix.run, hosts: named(names), ...more });
const many = Array.from({ length: 64 }, (_, i) => `m${i}`);

test('one call answers all hosts and the installer of the same flake', async () => {
  const nix = fakeNix({ hosts: [...many, 'installer'] });
  const evaluation = await ask(nix, many.slice(0, 40), { installers: { 'x86_64-linux': '/fleet#installer' } });
  assert.equal(nix.evals.length, 1);
  assert.ok(Object.values(evaluation.hosts).every((host) => host.ok));
  assert.equal(evaluation.installers['x86_64-linux']?.ok, true);
  assert.equal(nix.evals[0]!.args.at(-3), 'locked:/fleet#nixosConfigurations');
});

test('hosts of one attribute are evaluated once, and many hosts in several calls', async () => {
  const nix = fakeNix({ hosts: many });
  const hosts = many.map((name) => ({ name, flakeAttr: 'm1' }));
  const evaluation = await ask(nix, [], { hosts });
  assert.equal(nix.evals.length, 1);
  assert.equal(Object.keys(evaluation.hosts).length, 64);
  const chunked = fakeNix({ hosts: many });
  await ask(chunked, many, { perCall: 20 });
  assert.equal(chunked.evals.length, 4);
});

test('a culprit that makes the call fail is found among 64 with few calls', async () => {
  const nix = fakeNix({ hosts: many, uncatchable: ['m41'] });
  const evaluation = await ask(nix, many, { perCall: 64 });
  const bad = evaluation.hosts.m41;
  assert.ok(bad && !bad.ok);
  assert.match(bad.failure.text, /^attribute 'x' missing in m41$/);
  assert.equal(Object.values(evaluation.hosts).filter((host) => host.ok).length, 63);
  // 64 → 1: seven that fail, six that work, and the names.
  assert.ok(nix.evals.length <= 14, String(nix.evals.length));
});

test('of many that throw only some are asked for the reason', async () => {
  const nix = fakeNix({ hosts: many, throwing: many });
  const evaluation = await ask(nix, many, { perCall: 64 });
  assert.equal(nix.evals.length, 9);
  const [first, last] = [evaluation.hosts.m0!, evaluation.hosts.m63!];
  assert.ok(!first.ok && !last.ok);
  assert.equal(first.failure.text, 'host m0 is broken');
  assert.match(last.failure.text, /8 other hosts.*host m0 is broken/);
});

test('a host that the flake lacks is reported with what it has', async () => {
  const nix = fakeNix({ hosts: ['m1', 'm2'] });
  const { m1, m9 } = (await ask(nix, ['m1', 'm9'])).hosts;
  assert.equal(m1?.ok, true);
  assert.ok(m9 && !m9.ok);
  assert.equal(m9.failure.cause, 'missing-attribute');
  assert.match(m9.failure.text, /nixosConfigurations\.m9; it has: m1, m2$/);
});

test('an installer of another flake costs one call more and is checked for its platform', async () => {
  const nix = fakeNix({ hosts: ['m1'] });
  const evaluation = await ask(nix, ['m1'], {
    installers: {
      'x86_64-linux': 'github:foreign/images',
      'aarch64-linux': 'github:foreign/images#packages.aarch64-linux.arm',
    },
  });
  assert.equal(nix.evals.length, 3);
  assert.equal(evaluation.installers['x86_64-linux']?.ok, true);
  assert.equal(evaluation.installers['aarch64-linux']?.ok, true);
  const wrong = await ask(nix, ['m1'], { installers: { 'x86_64-linux': 'github:foreign/images#packages.x.arm' } });
  const installer = wrong.installers['x86_64-linux'];
  assert.ok(installer && !installer.ok);
  assert.match(installer.failure.text, /installer for x86_64-linux is built for aarch64-linux/);
});

test('what no host can help ends the whole', async () => {
  const broken = (result: NixResult): RunNix => {
    const { run } = fakeNix({ hosts: many });
    return async (call) => (call.args[0] === 'eval' ? result : run(call));
  };
  const rejected = async (run: RunNix): Promise<NixError> => {
    const error = await ask({ run }, many).then(
      () => assert.fail('must be rejected'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof NixError, String(error));
    return error;
  };
  const nothing = { stdout: '', stderr: '' };
  assert.equal((await rejected(broken({ ended: 'aborted', ...nothing }))).failure.cause, 'aborted');
  assert.equal((await rejected(broken({ ended: 'deadline', ...nothing }))).failure.cause, 'deadline');
  assert.match((await rejected(broken({ ended: 'missing', ...nothing }))).message, /no program nix.*nix-bin/);
  const syntax = { ended: 'exited', code: 1, stdout: '', stderr: 'error: syntax error, unexpected }' } as const;
  assert.equal((await rejected(broken(syntax))).failure.cause, 'evaluation');
});

test('an attribute after --flake is refused with where it belongs', async () => {
  const nix = fakeNix({ hosts: [] });
  await assert.rejects(ask(nix, [], { flake: '.#m1' }), /flake_attr in the hosts file/);
});
