// Signatures by SSH keys, as check-ins bring them: behind the armour, and with it.
import { decodeSshsig, SshsigError, signedBytes } from '../../../controller/src/wire/sshsig/signature.ts';
import { bytesOf, must, type Target } from '../target.ts';

const string = (value: string | Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return Buffer.concat([length, Buffer.from(value)]);
};
const blob = (bytes: number) => string(Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(bytes, 7))]));
const whole = (hash: string) =>
  Buffer.concat([
    Buffer.from('SSHSIG\0\0\0\x01'),
    blob(32),
    string('nixie-check-in'),
    string(''),
    string(hash),
    blob(64),
  ]);
const armoured = (bytes: Uint8Array) =>
  `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(bytes).toString('base64')}\n-----END SSH SIGNATURE-----\n`;

export const target: Target = {
  name: 'sshsig',
  // The first byte chooses: armoured here, or as it comes.
  seeds: [
    Buffer.concat([Buffer.of(0), whole('sha512')]),
    Buffer.concat([Buffer.of(0), whole('sha256')]),
    Buffer.concat([Buffer.of(1), bytesOf(armoured(whole('sha512')))]),
  ],
  dictionary: ['SSHSIG', 'ssh-ed25519', 'sha256', 'sha512', Uint8Array.of(0, 0, 0, 32), Uint8Array.of(0, 0, 0, 64)],
  maxBytes: 8192,
  allowed: [SshsigError],
  run(bytes) {
    const rest = bytes.subarray(1);
    const read = decodeSshsig((bytes[0] ?? 0) % 2 === 0 ? armoured(rest) : Buffer.from(rest).toString('latin1'));
    must(read.key.length === 32 && read.signature.length === 64, 'a key has 32 bytes, a signature 64');
    must(/^ssh-ed25519 [A-Za-z0-9+/]{68}$/.test(read.publicKey), 'the public key is the one line of its blob');
    must(signedBytes(read, new Uint8Array(64)).length > 64, 'what is signed holds the digest');
  },
};
