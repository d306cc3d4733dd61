import { createHmac } from 'node:crypto';
import { checkHello, KnownCredentials } from '../../../controller/src/listen/hello.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { makeCredential, readCredential } from '../../../controller/src/machine/token.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const secret = new Uint8Array(32).fill(3);
const right = makeCredential(secret, {
  host: 'm',
  mac: '52:54:00:77:00:01' as Mac,
  bootId: 'b',
  agentKey: Buffer.from('key'),
});

export const target: Target = {
  name: 'credential',
  seeds: [bytesOf(right), bytesOf('a.b'), bytesOf(`${right.split('.')[0]}.${'A'.repeat(43)}`)],
  dictionary: ['.', '=', '-', '_', 'e30'],
  allowed: [],
  run(bytes) {
    const given = text(bytes);
    const credentials = new KnownCredentials((each) => readCredential(secret, each), 1);
    const known = credentials.find(given);
    must((known !== undefined) === (credentials.size === 1), 'only what is good is kept');
    if (known === undefined) return;
    const [payload = '', seal = ''] = given.split('.');
    const sealed = createHmac('sha256', secret).update(`nixie-credential\n${payload}`).digest();
    must(sealed.equals(Buffer.from(seal, 'base64url')), 'only what we sealed is read');
    checkHello(known, given, { bootId: 'b', address: '', unixMs: 1n, signature: Buffer.from(bytes) });
  },
};
