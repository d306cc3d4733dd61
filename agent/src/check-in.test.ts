// The client against a service made by hand: what is sent, over which pinned certificate, and that the signature is ssh-keygen's.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { type CheckInRequest, type HostServiceServer, HostServiceService } from '@nixie/proto/host';
import { checkIn } from './check-in.ts';

const system = `/nix/store/${'a'.repeat(32)}-nixos-system-m1`;
const box = mkdtempSync(join(tmpdir(), 'nixie-check-in-'));
test.after(() => rmSync(box, { recursive: true }));
for (const folder of ['root/proc/sys/kernel/random', 'root/run']) mkdirSync(join(box, folder), { recursive: true });
writeFileSync(join(box, 'root/proc/sys/kernel/random/boot_id'), '0123-abcd\n');
symlinkSync(system, join(box, 'root/run/booted-system'));
const hostKey = join(box, 'host_key');
execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', hostKey]);
const [keyPem, certPem] = ['key.pem', 'cert.pem'].map((name) => join(box, name)) as [string, string];
const words = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=nixie -keyout ${keyPem} -out ${certPem}`;
execFileSync('openssl', words.split(' '), { stdio: 'ignore' });
const fingerprint = new X509Certificate(readFileSync(certPem)).fingerprint256.replaceAll(':', '').toLowerCase();

async function withService(answer: number | undefined, use: (to: string, got: CheckInRequest[]) => Promise<void>) {
  const got: CheckInRequest[] = [];
  const server = new Server();
  const service: HostServiceServer = {
    challenge: (_call, done) => done(null, { challenge: Buffer.from('c0ffee', 'hex') }),
    checkIn: (call, done) => {
      got.push(call.request);
      if (answer === undefined) done(null, {});
      else done({ code: answer, details: 'no host of this name has this key' });
    },
  };
  server.addService(HostServiceService, service);
  const pair = { private_key: readFileSync(keyPem), cert_chain: readFileSync(certPem) };
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  try {
    await use(`127.0.0.1:${port}`, got);
  } finally {
    server.forceShutdown();
  }
}
const settings = { fingerprint, host: 'm1', root: join(box, 'root'), sshHostKeyFile: hostKey };

test('tells what booted, signed for this controller and this challenge', () =>
  withService(undefined, async (to, got) => {
    await checkIn({ ...settings, controllers: ['127.0.0.1:1', to] });
    const [request] = got;
    assert.ok(request !== undefined);
    assert.deepEqual([request.host, request.bootId, request.bootedSystem], ['m1', '0123-abcd', system]);
    writeFileSync(join(box, 'signature'), request.signature);
    writeFileSync(join(box, 'allowed'), `m1 ${readFileSync(`${hostKey}.pub`, 'utf8')}`);
    const text = `nixie-check-in 1\nm1\nc0ffee\n0123-abcd\n${system}\n${request.unixMs}\n${fingerprint}\n`;
    const verify = `-Y verify -n nixie-check-in -I m1 -f ${join(box, 'allowed')} -s ${join(box, 'signature')}`;
    const said = execFileSync('ssh-keygen', verify.split(' '), { input: text, encoding: 'utf8' });
    assert.match(said, /^Good "nixie-check-in" signature for m1/);
  }));

test('another certificate is told nothing, and a refusal is said', async () => {
  await withService(status.PERMISSION_DENIED, async (to, got) => {
    await assert.rejects(
      checkIn({ ...settings, controllers: [to], fingerprint: '0'.repeat(64) }),
      /check certificate of 127/,
    );
    assert.deepEqual(got, []);
    await assert.rejects(checkIn({ ...settings, controllers: [to] }), /PERMISSION_DENIED: no host of this name/);
    await assert.rejects(
      checkIn({ ...settings, controllers: [to], sshHostKeyFile: join(box, 'none') }),
      /sign with .*none/,
    );
  });
  await assert.rejects(checkIn({ ...settings, root: box, controllers: [] }), /read boot_id/);
});
