// A crowd of agents in the rig's client namespace, told what to do by lines; see load-agents.ts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ControllerTls } from '../../controller/src/store/tls.ts';
import { run, start } from '../lab/child.ts';
import type { AgentLoad } from './load-agents.ts';
import { clientAddress, type Rig, serverAddress } from './rig.ts';

/**
 * Each agent has an address of its own, as each machine has. From one address, ten thousand connections and those that were broken off in the last
 * minute use up its ports, and each connect() searches for a free one: 2 ms of the kernel's time, measured, which an agent doesn't spend.
 */
const crowdNet = '10.97.0.0/16';
export const agentAddress = (i: number): string => `10.97.${i >> 8}.${i & 255}`;

export interface Crowd {
  say(command: string): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

export async function startAgents(rig: Rig, tls: Pick<ControllerTls, 'certPem' | 'keyPem'>): Promise<Crowd> {
  await run(['ip', '-n', rig.client, 'route', 'add', 'local', crowdNet, 'dev', 'lo']);
  await run(['ip', '-n', rig.server, 'route', 'add', crowdNet, 'via', clientAddress]);
  const load: AgentLoad = { server: serverAddress, certPem: tls.certPem, keyPem: tls.keyPem, atOnce: 16 };
  const file = join(rig.folder, 'agents');
  writeFileSync(file, JSON.stringify(load));
  const argv = [process.execPath, join(import.meta.dirname, 'load-agents.ts'), `@${file}`];
  const errors: string[] = [];
  let heard = (_line: string): void => {};
  const answer = (): Promise<string> =>
    new Promise((resolve) => {
      heard = resolve;
    });
  const ready = answer();
  const child = start(rig.inside(rig.client, argv), {
    deadlineMs: 1_800_000,
    stdin: 'pipe',
    onLine: (line, from) => (from === 'err' ? errors.push(line) : heard(line)),
  });
  const gone = child.exited.then((): never => {
    throw new Error(`the crowd of agents ended: ${errors.slice(0, 8).join('\n')}`);
  });
  gone.catch(() => {});
  await Promise.race([ready, gone]);
  return {
    async say(command) {
      const answered = answer();
      child.write(`${command}\n`);
      return JSON.parse(await Promise.race([answered, gone])) as Record<string, number>;
    },
    stop: async () => void (await child.stop(1000)),
  };
}
