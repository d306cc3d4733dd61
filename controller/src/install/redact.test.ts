import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { formsOf, makeRedactor } from './redact.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test('a value is masked as it is, in hexadecimal and in base64, wherever it stands', () => {
  const redactor = makeRedactor();
  const secret = 'correct horse?>battery';
  assert.ok(redactor.add('disk key /tmp/k of m1', bytes(secret)));
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const hex = Buffer.from(secret).toString('hex');
  const rows: [string, string, string][] = [
    ['raw', `key=${secret};`, 'key=[disk key /tmp/k of m1];'],
    ['twice', `${secret}${secret}`, '[disk key /tmp/k of m1][disk key /tmp/k of m1]'],
    ['hex', `x${hex}x`, 'x[disk key /tmp/k of m1]x'],
    ['upper-case hex', hex.toUpperCase(), '[disk key /tmp/k of m1]'],
  ];
  for (const [name, given, want] of rows) assert.equal(redactor.text(given), want, name);
  for (const before of ['', 'u', 'us', 'use', 'user:'])
    for (const after of ['', '@', '@h', '@ho']) {
      const masked = redactor.text(base64(`${before}${secret}${after}`));
      assert.ok(masked.includes('[disk key'), masked);
      assert.ok(!masked.includes(base64(secret).slice(4, 20)), masked);
    }
  assert.ok(redactor.text(Buffer.from(secret).toString('base64url')).startsWith('[disk key'));
  assert.equal(redactor.text('nothing to hide'), 'nothing to hide');
});

test('also as cleaned lines, JSON and URLs have it, and where a line was cut off in the middle', () => {
  const redactor = makeRedactor();
  const secret = 'tab\there "quoted"\u0007 ü/&end';
  redactor.add('k', bytes(secret));
  for (const said of [
    secret,
    'tab here "quoted" ü/&end',
    'tab  here "quoted" ü/&end',
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
  ])
    assert.equal(redactor.text(`<${said}>`), '<[k]>', said);
  assert.equal(redactor.text('cut: tab here "qu'), 'cut: [k]…');
  assert.equal(redactor.text('cut: tab  here …'), 'cut: [k]…');
  assert.equal(redactor.text('tab here, and more'), 'tab here, and more');
  const last_words = { kernel: ['tab here "quoted" ü/&end'] };
  const event = { event: 'result', at: '', host: 'm1', result: 'failed', seconds: {}, last_words } as const;
  assert.deepEqual(redactor.event({ ...event, last_words: { kernel: [...last_words.kernel] } }).last_words, {
    kernel: ['[k]'],
  });
});

test('lines of a file are masked one by one; short ones say too little', () => {
  const redactor = makeRedactor();
  redactor.add('file /etc/k of m1', bytes('-----BEGIN KEY-----\nb3BlbnNzaC1rZXk\n}\nend\n'));
  assert.equal(redactor.text('it said b3BlbnNzaC1rZXk'), 'it said [file /etc/k of m1]');
  assert.equal(redactor.text('the end }'), 'the end }');
});

test('a value of fewer than 6 bytes is not masked, and that is said', () => {
  const redactor = makeRedactor();
  assert.equal(redactor.add('k', bytes('12345')), false);
  assert.equal(redactor.text('port 12345'), 'port 12345');
  assert.equal(redactor.add('k', bytes('123456')), true);
  assert.equal(redactor.text('port 123456'), 'port [k]');
});

test('a final line end is no part of what is looked for', () => {
  const redactor = makeRedactor();
  redactor.add('k', bytes('sesame\n'));
  assert.equal(redactor.text('open sesame now'), 'open [k] now');
});

test('boot tokens are masked wherever a kernel command line is repeated', () => {
  const redactor = makeRedactor();
  const line = `kernel: Command line: nixie.controller=10.0.0.1:7481 nixie.token=${'0a'.repeat(16)} quiet`;
  assert.equal(
    redactor.text(line),
    'kernel: Command line: nixie.controller=10.0.0.1:7481 nixie.token=[redacted] quiet',
  );
});

test('in events free text is masked; names and store paths stay', () => {
  const redactor = makeRedactor();
  redactor.add('k', bytes('machine1-secret'));
  const at = '2026-01-01T00:00:00.000Z';
  assert.deepEqual(
    redactor.event({ event: 'log', at, host: 'machine1-secret', source: 'disko', text: 'machine1-secret!' }),
    { event: 'log', at, host: 'machine1-secret', source: 'disko', text: '[k]!' },
  );
  const failed = redactor.event({
    event: 'result',
    at,
    host: 'm',
    result: 'failed',
    reason: 'said machine1-secret',
    toplevel: '/nix/store/machine1-secret',
    seconds: {},
    log: ['a', 'b machine1-secret'],
  });
  assert.equal(failed.reason, 'said [k]');
  assert.deepEqual(failed.log, ['a', 'b [k]']);
  assert.equal(failed.toplevel, '/nix/store/machine1-secret');
});

test('no form of any value survives, between any other text', () => {
  const anyValue = fc.uint8Array({ minLength: 6, maxLength: 200 });
  fc.assert(
    fc.property(
      fc.array(anyValue, { minLength: 1, maxLength: 5 }),
      fc.string(),
      fc.string(),
      (values, before, after) => {
        const redactor = makeRedactor();
        // A mask must not hold what it hides.
        values.forEach((value) => void redactor.add('\u2588', value));
        for (const value of values)
          for (const form of formsOf(value))
            if (form.length >= 6) assert.ok(!redactor.text(`${before}${form}${after}`).includes(form));
      },
    ),
    { numRuns: 300 },
  );
});

test('a long line against many secrets takes linear time', () => {
  const redactor = makeRedactor();
  for (let each = 0; each < 2000; each++) redactor.add('k', bytes(`secret number ${each} of many`));
  const began = process.cpuUsage();
  redactor.text('secret numbe'.repeat(50_000));
  // Of the processor's time: others may be at work as well.
  const { user, system } = process.cpuUsage(began);
  assert.ok(user + system < 3_000_000, `${user + system} µs`);
});
