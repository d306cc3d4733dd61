// The tools of the controller's tasks, over simulated machines: proofs, scans, phases. The phases and the wait for a proof are the real ones.
import { join } from 'node:path';
import type { TaskTools } from '../../controller/src/core/tasks.ts';
import { noMaster } from '../../controller/src/install/master.ts';
import { watchPhase } from '../../controller/src/install/run.ts';
import { type Proof, type ProofRequest, waitForProof } from '../../controller/src/install/verify.ts';
import { Anywhere } from './anywhere.ts';
import { hostKeyOf } from './disk.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';

export interface ToolsWorld {
  readonly network: Network;
  readonly random: Random;
  readonly life: number;
  readonly hostKeys: Map<string, string>;
  after(milliseconds: number, call: () => void): () => void;
}

export interface SimulatedTools {
  readonly tools: TaskTools;
  readonly anywhere: Anywhere;
  /** Hosts that were told to reboot. */
  readonly rebooting: Set<string>;
}

export function simulatedTools(world: ToolsWorld): SimulatedTools {
  const { network, random, life, hostKeys, after } = world;
  const pins = new Map<string, string>();
  const staged = new Map<string, string>();
  const rebooting = new Set<string>();
  let folders = 0;
  const sleep = (milliseconds: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        off();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const off = after(milliseconds, end);
      signal?.addEventListener('abort', end, { once: true });
    });

  const anywhere = new Anywhere({
    network,
    random,
    life,
    after,
    files(argv, env) {
      const shim = env.PATH?.split(':')[0] ?? '';
      const extra = argv.includes('--extra-files') ? argv[argv.indexOf('--extra-files') + 1] : undefined;
      return { pinned: pins.get(shim), staged: extra === undefined ? undefined : staged.get(extra) };
    },
  });

  const prove = async (request: ProofRequest): Promise<Proof> => {
    const machine = network.at(request.address);
    const shell = machine?.ssh();
    if (machine === undefined || shell === undefined) {
      await sleep(random.int(2000, 10_000), request.signal);
      return { kind: 'unreachable', detail: `ssh: connect to host ${request.address} port 22: No route to host` };
    }
    await sleep(random.int(200, 1500), request.signal);
    if (shell.key !== request.hostKey)
      return { kind: 'wrong-key', detail: 'its SSH host key is not the one of the installed system' };
    if (shell.system === undefined || machine.fate.has('lets nobody in'))
      return { kind: 'no-way-in', detail: 'Permission denied (publickey).' };
    if (shell.system === request.toplevel) return { kind: 'proved', toplevel: request.toplevel, by: 'key' };
    return { kind: 'other-system', booted: shell.system, current: shell.system, by: 'key' };
  };

  const tools: TaskTools = {
    exists: async (path) => hostKeys.has(path.split('/').at(-2) ?? ''),
    installedHostKey: async (stateDir, host) => {
      const known = hostKeys.get(host);
      const publicKey = known ?? hostKeyOf(random);
      hostKeys.set(host, publicKey);
      const privateFile = join(stateDir, 'hostkeys', host, 'ssh_host_ed25519_key');
      return { privateFile, publicKey, origin: known === undefined ? 'made' : 'kept' };
    },
    makeRunFolder: async () => {
      const path = `/sim/${++folders}`;
      const inside = (name: string) => `${path}/${name}`;
      const remove = async () => {
        pins.delete(inside('bin'));
        staged.delete(inside('staged/extra'));
      };
      return {
        path,
        shim: inside('bin'),
        home: inside('home'),
        tmp: inside('tmp'),
        keys: inside('keys'),
        staged: inside('staged'),
        inMemory: true,
        sharable: true,
        remove,
      };
    },
    prove,
    runPhase: (options) => {
      if (options.plan.phase === 'reboot') rebooting.add(options.plan.host);
      return watchPhase(options, anywhere);
    },
    scanHostKey: async ({ address, signal }) => {
      await sleep(random.int(200, 3000), signal);
      const shell = network.at(address)?.ssh();
      return shell === undefined
        ? { kind: 'none', detail: 'no ed25519 host key answered' }
        : { kind: 'key', key: shell.key };
    },
    stageExtraFiles: async (path, { hostKey }) => {
      staged.set(path, hostKey.publicKey);
      return { path } as Awaited<ReturnType<TaskTools['stageExtraFiles']>>;
    },
    waitForProof: (request) =>
      waitForProof({ ...request, prove, now: () => network.lan.clock.ticks, wait: (ms) => sleep(ms, request.signal) }),
    openMaster: async () => noMaster,
    writeKnownHosts: async (folder) => folder,
    writeShim: async ({ folder, hostKeys: keys }) => {
      pins.set(folder, keys[0]!);
      return folder;
    },
  };
  return { tools, anywhere, rebooting };
}
