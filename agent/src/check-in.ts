// `nixie-agent --check-in`: an installed system tells the controller once that it has booted, signed by the SSH host key that was placed on it.
import { readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceError } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import { type CheckInRequest, HostServiceClient } from '@nixie/proto/host';
import { run } from './child.ts';
import { channelOptions, targetOf } from './client.ts';
import { pin } from './pin.ts';

export interface CheckInSettings {
  /** `IP:port`, in order of preference. */
  readonly controllers: readonly string[];
  readonly fingerprint: string;
  /** Name in the hosts file. */
  readonly host: string;
  /** Where /run and /proc are looked for. */
  readonly root: string;
  /** Private half. */
  readonly sshHostKeyFile: string;
}

const namespace = 'nixie-check-in';
const answerMs = 10_000;
const signMs = 10_000;

/** Tells the first controller that answers. @throws Error saying at which controller what went wrong */
export async function checkIn(settings: CheckInSettings): Promise<void> {
  const facts = readFacts(settings.root);
  const problems: string[] = [];
  for (const controller of settings.controllers) {
    try {
      const { client } = await pin(
        controller,
        settings.fingerprint,
        (endpoint, credentials) => new HostServiceClient(targetOf(endpoint), credentials, channelOptions),
      );
      return await tell(client, settings, facts);
    } catch (error) {
      problems.push(`${controller}: ${(error as Error).message}`);
    }
  }
  throw new Error(`check in: ${problems.join('; ')}`);
}

interface Facts {
  readonly bootId: string;
  readonly bootedSystem: string;
}

function readFacts(root: string): Facts {
  const attempt = <T>(what: string, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      throw new Error(`read ${what}: ${(error as Error).message}`, { cause: error });
    }
  };
  return {
    bootId: attempt('boot_id', () => readFileSync(join(root, 'proc/sys/kernel/random/boot_id'), 'utf8').trim()),
    bootedSystem: attempt('/run/booted-system', () => readlinkSync(join(root, 'run/booted-system'))),
  };
}

async function tell(client: HostServiceClient, settings: CheckInSettings, facts: Facts): Promise<void> {
  try {
    const call = <Response>(
      start: (options: { deadline: number }, done: (error: ServiceError | null, response: Response) => void) => unknown,
    ): Promise<Response> =>
      new Promise((resolve, reject) =>
        start({ deadline: Date.now() + answerMs }, (error, response) =>
          error === null
            ? resolve(response)
            : reject(new Error(`${status[error.code] ?? error.code}: ${error.details}`)),
        ),
      );
    const { challenge } = await call<{ challenge: Buffer }>((options, done) =>
      client.challenge({}, new Metadata(), options, done),
    );
    const request = { host: settings.host, challenge, ...facts, unixMs: BigInt(Date.now()) };
    const signature = await sign(signedText(request, settings.fingerprint), settings.sshHostKeyFile);
    await call((options, done) => client.checkIn({ ...request, signature }, new Metadata(), options, done));
  } finally {
    client.close();
  }
}

/** What proto/nixie/v1/host.proto says is signed. */
function signedText(request: Omit<CheckInRequest, 'signature'>, fingerprint: string): string {
  const { host, challenge, bootId, bootedSystem, unixMs } = request;
  const hex = Buffer.from(challenge).toString('hex');
  return [`${namespace} 1`, host, hex, bootId, bootedSystem, String(unixMs), fingerprint, ''].join('\n');
}

/** ssh-keygen reads the key: its file format is its own. The text goes through its standard input, the signature comes from its output. */
async function sign(text: string, keyFile: string): Promise<string> {
  const { code, stdout, stderr, why } = await run(['ssh-keygen', '-Y', 'sign', '-n', namespace, '-f', keyFile], {
    deadlineMs: signMs,
    input: text,
  });
  if (code === 0 && stdout.startsWith('-----BEGIN SSH SIGNATURE-----')) return stdout;
  throw new Error(
    `sign with ${keyFile}: ${stderr.trim().split('\n').at(-1) || why || `ssh-keygen ended with ${code}`}`,
  );
}
