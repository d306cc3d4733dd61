import assert from 'node:assert/strict';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import { WordRefused } from '../wire/ipxe/words.ts';
import { CommandLineTooLong, installerScript, localScript, maxCommandLineBytes, refusalScript } from './script.ts';

const files = {
  kernelSha256: 'a'.repeat(64),
  initrdSha256: 'b'.repeat(64),
  kernelParams: ['init=/nix/store/x-installer/init', 'loglevel=4'],
  needsBytes: 1_500_000_000,
};
const boot = {
  machine: 'machine1',
  mac: '52:54:00:00:00:01' as Mac,
  address: '192.168.7.1',
  httpPort: 7480,
  grpcPort: 7481,
  fingerprint: 'c'.repeat(64),
  token: 'd'.repeat(32),
  boot: ['console=ttyS0'],
};

/** The innermost expansions first. */
function expand(text: string, settings: Record<string, string>): string {
  const once = text.replace(/\$\{([^${}]*)\}/g, (_, name: string) => settings[name.replace(/:.*/, '')] ?? '');
  return once === text ? text : expand(once, settings);
}

/** Follows a script as iPXE does: `&&` and `||` from left to right, goto from the start, equality of text; commands of the table may fail. */
function run(script: string, settings: Record<string, string>, fails: (command: string) => boolean = () => false) {
  const lines = script.split('\n');
  const said: string[] = [];
  const did: string[] = [];
  const set = { ...settings };
  let at = 0;
  for (let step = 0; step < 100_000; step++) {
    const line = lines[at++];
    if (line === undefined) return { said, did, exit: 0 };
    if (line.startsWith('#') || line.startsWith(':') || line === '') continue;
    let ok = true;
    let jumped = false;
    const parts = line.split(/ (&&|\|\|)(?: |$)/);
    for (let index = 0; index < parts.length && !jumped; index += 2) {
      const operator = index === 0 ? undefined : parts[index - 1];
      if ((operator === '&&' && !ok) || (operator === '||' && ok)) continue;
      const command = expand(parts[index]!, set);
      const [verb, ...words] = command.split(/\s+/);
      const first = words[0] ?? '';
      ok = true;
      if (command === '') continue;
      if (verb === 'echo') said.push(words.join(' '));
      else if (verb === 'set') set[first.replace(/:.*/, '')] = words[1]!;
      else if (verb === 'inc') set[first] = String(Number(set[first]) + Number(words[1] ?? 1));
      else if (verb === 'isset') ok = first !== '';
      else if (verb === 'iseq') ok = first === words[1];
      else if (verb === 'exit') return { said, did, exit: Number(first) };
      else if (verb === 'goto') {
        at = lines.indexOf(`:${first}`);
        assert.ok(at >= 0, `label ${first}`);
        jumped = true;
      } else {
        did.push(command);
        if (command === 'boot' && !fails(command)) return { said, did, exit: 'booted' };
        ok = !fails(command);
      }
    }
    assert.ok(ok || jumped, `iPXE ends a script at a line that fails: ${line}`);
  }
  throw new Error('endless script');
}

test('installer: kernel by content, the command line, the initrd by name, boot', () => {
  const { did, exit } = run(installerScript(files, boot), { 'netX/mac': '52-54-00-00-00-02' });
  assert.equal(exit, 'booted');
  assert.deepEqual(did, [
    'imgfree',
    `kernel --name kernel http://192.168.7.1:7480/f/${'a'.repeat(64)}/kernel initrd=initrd init=/nix/store/x-installer/init loglevel=4 ` +
      `console=ttyS0 nixie.controller=192.168.7.1:7481 nixie.fingerprint=${'c'.repeat(64)} nixie.token=${'d'.repeat(32)} ` +
      'nixie.mac=52:54:00:00:00:01 BOOTIF=01-52-54-00-00-00-02',
    `initrd --name initrd http://192.168.7.1:7480/f/${'b'.repeat(64)}/initrd`,
    'boot',
  ]);
});

test('memory: too little stops with both numbers, enough and unknown go on', () => {
  const script = installerScript(files, boot); // 1431 MiB: five times 256 must be there
  const slots = (...sizesMiB: number[]): Record<string, string> =>
    Object.fromEntries(sizesMiB.map((size, slot) => [`smbios/${slot}.17.13.1`, String((size >> 8) & 0xff)]));
  for (const memory of [slots(), slots(0, 0), slots(1280), slots(512, 512, 0, 512), slots(0x7fff), slots(0xffff)]) {
    assert.equal(run(script, memory).exit, 'booted', JSON.stringify(memory));
  }
  const table: readonly [Record<string, string>, number][] = [
    [slots(512), 512],
    [slots(1100), 1024],
    [slots(0, 512, 512), 1024],
  ];
  for (const [memory, mib] of table) {
    const { said, exit, did } = run(script, memory);
    assert.equal(exit, 1);
    assert.ok(
      said.includes(`Nixie: this machine has ${mib} MiB of memory, the installer needs 1431 MiB`),
      said.join('; '),
    );
    assert.ok(!did.some((command) => command.startsWith('kernel')));
  }
});

test('failures: ten tries, each interface is configured again, then the firmware goes on', () => {
  const script = installerScript(files, boot);
  const interfaces = { 'net0/mac': 'x', 'net1/mac': 'y' };
  const none = run(script, interfaces, (command) => /^(kernel|ifconf)/.test(command));
  assert.equal(none.exit, 1);
  assert.equal(none.did.filter((command) => command.startsWith('kernel')).length, 10);
  assert.equal(none.did.filter((command) => command === 'ifconf --configurator dhcp net1').length, 9);
  let left = 3;
  const late = run(script, interfaces, (command) => command.startsWith('initrd') && left-- > 0);
  assert.equal(late.exit, 'booted');
  assert.ok(!late.did.includes('ifconf --configurator dhcp net1')); // net0 answered
});

test('local disk: by the platform that iPXE itself tells', () => {
  assert.equal(run(localScript('m1'), { platform: 'efi' }).exit, 1);
  assert.deepEqual(run(localScript('m1'), { platform: 'efi' }).did, []);
  assert.deepEqual(
    run(localScript('m1'), { platform: 'pcbios' }, (command) => command.startsWith('sanboot')),
    { said: ['Nixie: m1 boots from its own disk'], did: ['sanboot --no-describe --drive 0x80'], exit: 0 },
  );
});

test('refusal tells the reason as plain text', () => {
  const script = refusalScript(`machine \${token}\nexit 0 && boot`);
  const { said, exit } = run(script, { token: 'secret' });
  assert.equal(exit, 1);
  assert.deepEqual(said, ['Nixie: machine ??token? exit 0 ?? boot']);
});

test('bad words and long command lines are refused with their source', () => {
  assert.throws(
    () => installerScript(files, { ...boot, boot: ['a b'] }),
    /boot word of machine1: found character " " at 1/,
  );
  assert.throws(() => installerScript({ ...files, kernelParams: ['x', `\${y}`] }, boot), WordRefused);
  assert.throws(() => installerScript(files, { ...boot, token: 'D'.repeat(32) }), /token: not 32/);
  const base = installerScript(files, { ...boot, boot: [] });
  const line = /initrd=initrd.*BOOTIF=\S+/.exec(base)![0].replace(/\$\{[^}]*\}/, 'aa-bb-cc-dd-ee-ff');
  const room = maxCommandLineBytes - line.length - 1;
  assert.ok(installerScript(files, { ...boot, boot: ['x'.repeat(room)] }));
  assert.throws(
    () => installerScript(files, { ...boot, boot: ['x'.repeat(room + 1)] }),
    (error) => error instanceof CommandLineTooLong && error.bytes === 2048,
  );
});
