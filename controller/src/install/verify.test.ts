import assert from 'node:assert/strict';
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { after } from 'node:test';
import { type Runner, runProgram } from '../child/program.ts';
import { type Proof, type ProofRequest, prove, readAnswer, scanHostKey, waitForProof } from './verify.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-verify-'));
after(() => rmSync(folder, { recursive: true }));

const toplevel = `/nix/store/${'a'.repeat(32)}-nixos-system-m1`;
const other = `/nix/store/${'b'.repeat(32)}-nixos-system-m1`;
const hostKey = 'ssh-ed25519 AAAAC3Nz';
const said = (status: number | null, stdout: string, stderr = '') => ({ status, stdout, stderr });

const answers: [string, ReturnType<typeof said>, Proof['kind']][] = [
  ['both links right', said(0, `${toplevel}\n${toplevel}\n`), 'proved'],
  ['booted before the switch', said(0, `${other}\n${toplevel}\n`), 'other-system'],
  ['switched away', said(0, `${toplevel}\n${other}\n`), 'other-system'],
  ['no booted link', said(0, `/run/booted-system\n${toplevel}\n`), 'other-system'],
  ['not NixOS', said(0, '/run/booted-system\n/run/current-system\n'), 'no-way-in'],
  ['a shell that says something else', said(1, 'This account is not available.\n'), 'no-way-in'],
  ['refused', said(255, '', 'root@h: Permission denied (publickey).'), 'no-way-in'],
  [
    'another key',
    said(255, '', '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.'),
    'wrong-key',
  ],
  ['no route', said(255, '', 'ssh: connect to host h port 22: No route to host'), 'unreachable'],
  ['killed', said(null, ''), 'unreachable'],
  ['a near miss in the path', said(0, `${toplevel}-x\n${toplevel}/y\n`), 'other-system'],
];
for (const [name, ended, kind] of answers) {
  test(`answer: ${name}`, () => assert.equal(readAnswer(ended, toplevel, 'key').kind, kind));
}

/** Answers in turn and remembers what was asked. */
function runner(...replies: ReturnType<typeof said>[]) {
  const asked: { program: string; argv: readonly string[]; known: string }[] = [];
  const run: Runner = async (program, argv) => {
    const file = argv.find((word) => word.startsWith('UserKnownHostsFile='))?.slice('UserKnownHostsFile='.length);
    asked.push({ program, argv, known: file === undefined ? '' : readFileSync(file, 'utf8') });
    return { ...(replies.shift() ?? said(255, '', 'no more answers')), timedOut: false };
  };
  return { run, asked };
}
const request = (run: Runner): ProofRequest => ({
  address: '10.0.0.7',
  hostKey,
  toplevel,
  identities: ['/k/proof', '/k/mine'],
  folder,
  searchPath: '/usr/bin:/bin',
  run,
});

test('for another user: keys of their own as they are, ours as copies that are theirs, a lost one left to ssh', {
  skip: process.getuid?.() === 0 ? false : 'only root can give files away',
}, async () => {
  const as = { uid: 64_321, gid: 64_321 };
  const keys = mkdtempSync(join(tmpdir(), 'nixie-verify-keys-'));
  after(() => rmSync(keys, { recursive: true }));
  const [ours, theirs, lost] = ['ours', 'theirs', 'lost'].map((name) => join(keys, name)) as [string, string, string];
  for (const file of [ours, theirs]) writeFileSync(file, file, { mode: 0o600 });
  chownSync(theirs, as.uid, as.gid);
  const seen: unknown[] = [];
  const run: Runner = async (_program, argv, limits) => {
    const files = argv.filter((_, index) => argv[index - 1] === '-i');
    const known = argv.find((word) => word.startsWith('UserKnownHostsFile='))!.slice('UserKnownHostsFile='.length);
    for (const path of [files[0]!, known, dirname(known)]) {
      const { uid, mode } = statSync(path);
      seen.push([uid, mode & 0o77]);
    }
    seen.push(readFileSync(files[0]!, 'utf8') === ours, files[0] !== ours, files.slice(1), limits.as);
    return { ...said(0, `${toplevel}\n${toplevel}\n`), timedOut: false };
  };
  assert.equal((await prove({ ...request(run), identities: [ours, theirs, lost], as })).kind, 'proved');
  const own = [as.uid, 0];
  assert.deepEqual(seen, [own, own, own, true, true, [theirs, lost], as]);
});

test('all key files in one connection, pinned, nothing of the user', async () => {
  const { run, asked } = runner(said(0, `${toplevel}\n${toplevel}\n`));
  assert.deepEqual(await prove({ ...request(run), agentSocket: '/agent' }), { kind: 'proved', toplevel, by: 'key' });
  assert.equal(asked.length, 1);
  const words = asked[0]!.argv.join(' ');
  assert.match(
    words,
    /^-F \/dev\/null .*StrictHostKeyChecking=yes.*IdentitiesOnly=yes.*IdentityAgent=none.*-i \/k\/proof -i \/k\/mine root@10\.0\.0\.7 readlink/,
  );
  assert.equal(asked[0]!.known, `* ${hostKey}\n`);
  assert.deepEqual(readdirSync(folder), [], 'the pinned file is gone');
});

test('the agent is asked only after a refusal', async () => {
  const refused = said(255, '', 'Permission denied (publickey).');
  const first = runner(refused, said(0, `${toplevel}\n${toplevel}\n`));
  assert.deepEqual(await prove({ ...request(first.run), agentSocket: '/agent' }), {
    kind: 'proved',
    toplevel,
    by: 'agent',
  });
  assert.ok(first.asked[1]!.argv.includes('IdentityAgent=/agent'));
  assert.ok(first.asked[1]!.argv.includes('IdentityFile=none'));
  const second = runner(said(255, '', 'Host key verification failed.'), refused);
  assert.equal((await prove({ ...request(second.run), agentSocket: '/agent' })).kind, 'wrong-key');
  assert.equal(second.asked.length, 1);
});

test('without any key the host key is still looked at', async () => {
  const right = runner(said(0, `10.0.0.7 ${hostKey}\n`));
  assert.equal((await prove({ ...request(right.run), identities: [] })).kind, 'no-way-in');
  assert.equal(right.asked[0]!.program, 'ssh-keyscan');
  const wrong = runner(said(0, '10.0.0.7 ssh-ed25519 BBBB\n'));
  assert.equal((await prove({ ...request(wrong.run), identities: [] })).kind, 'wrong-key');
  assert.equal((await prove({ ...request(runner(said(1, '')).run), identities: [] })).kind, 'unreachable');
});

test('scan: the key line among comments', async () => {
  const { run } = runner(said(0, `# 10.0.0.7:22 SSH-2.0-OpenSSH_9.2\n10.0.0.7 ${hostKey}\n`));
  assert.deepEqual(await scanHostKey({ address: '10.0.0.7', searchPath: '/usr/bin', run }), {
    kind: 'key',
    key: hostKey,
  });
});

async function wait(replies: ReturnType<typeof said>[], addresses: string[][] = [['10.0.0.7']], patienceMs = 600_000) {
  let clock = 0;
  const { run, asked } = runner(...replies);
  const { address: _, ...base } = request(run);
  const proof = await waitForProof({
    ...base,
    patienceMs,
    addresses: async () => (addresses.length > 1 ? addresses.shift()! : addresses[0]!),
    now: () => clock,
    wait: async (ms) => {
      clock += ms;
    },
  });
  return { proof, tries: asked.length, clock };
}

test('waits through the start of a machine that moves', async () => {
  const away = said(255, '', 'Connection refused');
  const { proof, tries } = await wait(
    [away, said(255, '', 'Host key verification failed.'), said(0, `${toplevel}\n${toplevel}\n`)],
    [[], ['10.0.0.7'], ['10.0.0.8', '10.0.0.9']],
  );
  assert.deepEqual(proof, { kind: 'proved', toplevel, by: 'key', address: '10.0.0.9' });
  assert.equal(tries, 3);
});

test('a refused login is repeated slowly, and believed the third time', async () => {
  const refused = said(255, '', 'Permission denied (publickey).');
  const { proof, tries, clock } = await wait([refused, refused, refused, refused]);
  assert.equal(proof.kind, 'no-way-in');
  assert.equal(tries, 3);
  assert.ok(clock >= 30_000);
});

test('patience ends, and the most telling answer stays', async () => {
  const { proof, clock } = await wait([said(255, '', 'Host key verification failed.')], undefined, 60_000);
  assert.equal(proof.kind, 'wrong-key');
  assert.ok(clock <= 60_000);
});

test('a real program: its output, its status, and the deadline ends it with what it started', async () => {
  const limits = { deadlineMs: 60_000, env: { PATH: '/usr/bin:/bin' } };
  assert.deepEqual(await runProgram('sh', ['-c', 'echo out; echo err >&2; exit 3'], limits), {
    status: 3,
    stdout: 'out\n',
    stderr: 'err\n',
    timedOut: false,
  });
  const late = await runProgram('sh', ['-c', 'sleep 30 & sleep 30'], { ...limits, deadlineMs: 50 });
  assert.equal(late.timedOut, true);
  await assert.rejects(runProgram('/nowhere/ssh', [], limits), /run \/nowhere\/ssh/);
});

test('a way by a relay that failed is told from a machine that does not answer', () => {
  const closed = 'Connection closed by UNKNOWN port 65535';
  const say = (why: string) =>
    readAnswer({ status: 255, stdout: '', stderr: `${why}\n${closed}\n` }, toplevel, 'key', true);
  for (const why of [
    'error: relay rack7 is not connected',
    'error: relay rack7 did not connect to 10.0.0.7 within 15 s',
    'error: the link of relay rack7 was lost: reset',
    'error: the relay carries too many connections',
    'error: connect to 10.0.0.7:22: connect EMFILE 10.0.0.7:22',
    'error: too many connections at once',
    'relay: connect ENOENT /run/relay.sock',
  ])
    assert.deepEqual(say(why), { kind: 'unreachable', detail: why.replace(/^\w+: /, ''), unasked: true });
  for (const why of [
    'error: connect to 10.0.0.7:22: connect ECONNREFUSED 10.0.0.7:22',
    'error: connect to 10.0.0.7:22: connect EHOSTUNREACH 10.0.0.7:22',
    'error: connect to 10.0.0.7:22: no answer within 10 s',
    "error: connect to 10.0.0.7: it is in none of the relay's subnets",
  ])
    assert.deepEqual(say(why), { kind: 'unreachable', detail: why.slice('error: '.length) });
  assert.deepEqual(say('ssh: connect to host 10.0.0.7 port 22: No route to host'), {
    kind: 'unreachable',
    detail: closed,
  });
  // A banner of a machine on our own networks.
  const banner = readAnswer({ status: 255, stdout: '', stderr: `error: keep out\n${closed}\n` }, toplevel, 'key');
  assert.deepEqual(banner, { kind: 'unreachable', detail: closed });
});
