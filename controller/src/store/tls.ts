// The controller's own certificate: self-signed, kept between runs, known to agents by its fingerprint on the kernel command line.
import 'reflect-metadata'; // x509 fails at load without it
import { createPrivateKey, hkdfSync, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

export interface ControllerTls {
  readonly certPem: string;
  /** PKCS #8. */
  readonly keyPem: string;
  /** SHA-256 of the DER form: 64 lower-case hex digits without colons, as in `nixie.fingerprint=`. */
  readonly fingerprint: string;
  /** 32 bytes that last as long as the key: what agents' credentials are signed with. */
  readonly credentialSecret: Buffer;
}

/** Machines without a battery start in 1970 or in the far future; this is the widest span X.509 can say (RFC 5280 4.1.2.5). */
export const notBefore = new Date('1970-01-01T00:00:00Z');
export const notAfter = new Date('9999-12-31T23:59:59Z');

/** @returns a new P-256 key and certificate */
export async function makeTls(name = 'nixie'): Promise<ControllerTls> {
  x509.cryptoProvider.set(webcrypto as never);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as never;
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40; // positive and not zero, RFC 5280 4.1.2.2
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial.toString('hex'),
    name: `CN=${name}`,
    notBefore,
    notAfter,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', (keys as { privateKey: never }).privateKey);
  const keyPem = createPrivateKey({ key: Buffer.from(pkcs8 as ArrayBuffer), format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
  return readTls(`${certificate.toString('pem')}\n`, keyPem);
}

/** @throws when the two do not belong together, or the certificate's dates would lock out a machine with a wrong clock */
export function readTls(certPem: string, keyPem: string): ControllerTls {
  const certificate = new X509Certificate(certPem);
  const key = createPrivateKey(keyPem);
  if (!certificate.checkPrivateKey(key)) throw new Error('read certificate: its key is another one');
  if (Date.parse(certificate.validFrom) > notBefore.getTime() || Date.parse(certificate.validTo) < notAfter.getTime())
    throw new Error(`read certificate: valid ${certificate.validFrom} to ${certificate.validTo}, want 1970 to 9999`);
  return {
    certPem: certificate.toString(),
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    fingerprint: certificate.fingerprint256.replace(/:/g, '').toLowerCase(),
    credentialSecret: Buffer.from(
      hkdfSync('sha256', key.export({ type: 'pkcs8', format: 'der' }), '', 'nixie agent credential 1', 32),
    ),
  };
}

/**
 * The certificate kept in `<folder>/tls.pem` (key first, then certificate; one file, so that half of a pair can't be there), or a
 * new one. A damaged file is set aside, not deleted: agents of a running boot know the old fingerprint.
 * @param folder made with 0700 when it isn't there
 */
export async function loadTls(
  folder: string,
): Promise<ControllerTls & { readonly made: boolean; readonly setAside?: string }> {
  const file = join(folder, 'tls.pem');
  let setAside: string | undefined;
  let kept: string | undefined;
  try {
    kept = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new Error(`read ${file}: ${(error as Error).message}`, { cause: error });
  }
  if (kept !== undefined) {
    try {
      const tls = readTls(block(kept, 'CERTIFICATE'), block(kept, 'PRIVATE KEY'));
      chmodSync(file, 0o600);
      return { ...tls, made: false };
    } catch {
      setAside = `${file}.damaged`;
      renameSync(file, setAside);
    }
  }
  const tls = await makeTls();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}.new`;
  rmSync(fresh, { force: true });
  const fd = openSync(fresh, 'wx', 0o600);
  try {
    writeSync(fd, tls.keyPem + tls.certPem);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  try {
    // Not in the place of one that another command has just made: its fingerprint stands in a token by now.
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return await loadTls(folder);
    throw new Error(`write ${file}: ${(error as Error).message}`, { cause: error });
  } finally {
    rmSync(fresh, { force: true });
  }
  return { ...tls, made: true, ...(setAside ? { setAside } : {}) };
}

function block(text: string, label: string): string {
  const found = new RegExp(`-----BEGIN ${label}-----[\\s\\S]+?-----END ${label}-----`).exec(text);
  if (!found) throw new Error(`read tls.pem: no ${label}`);
  return found[0];
}
