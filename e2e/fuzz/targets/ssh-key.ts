import { generateKeyPairSync } from 'node:crypto';
import { readKeyFile } from '../../../controller/src/config/ssh-key.ts';
import { bytesOf, must, type Target } from '../target.ts';

const string = (value: string | Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return Buffer.concat([length, Buffer.from(value)]);
};
const publicBlob = Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(32, 7))]);
const openssh = (cipher: string): string => {
  const blob = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    string(cipher),
    string('none'),
    string(''),
    Buffer.of(0, 0, 0, 1),
    string(publicBlob),
    string(Buffer.alloc(64)),
  ]);
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${blob.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
};
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

export const target: Target = {
  name: 'ssh-key',
  seeds: [
    openssh('none'),
    openssh('aes256-ctr'),
    `ssh-ed25519 ${publicBlob.toString('base64')} me@here\n`,
    privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey.export({ type: 'sec1', format: 'pem' }).toString(),
    'PuTTY-User-Key-File-3: ssh-ed25519\n',
    '-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----',
  ].map(bytesOf),
  dictionary: [
    '-----BEGIN ',
    ' PRIVATE KEY-----',
    '-----END ',
    'OPENSSH',
    'EC',
    '\r\n',
    'AAAA',
    '=',
    'ssh-rsa ',
    'Proc-Type:',
  ],
  maxBytes: 65_536,
  allowed: [],
  run(bytes) {
    const key = readKeyFile(bytes);
    if (key.ok)
      must(/^[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}$/.test(key.publicKey), 'a public key is one line of two words');
    else must(!/[\x00-\x08\x0b-\x1f]/.test(key.found), 'what was found can be shown');
  },
};
