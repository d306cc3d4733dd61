// How fast log lines go from a machine to the files of a run, and what that costs at both ends, each in a process of its own:
// `node e2e/bench/logs.ts [LINES]`. The agent's end reads what journalctl would print from a program that says it as fast as it can.
import { fork } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeClient } from '../../agent/src/client.ts';
import { realClock } from '../../agent/src/host.ts';
import { loadIdentity } from '../../agent/src/identity.ts';
import type { Instructions } from '../../agent/src/instructions.ts';
import { followJournal } from '../../agent/src/journal.ts';
import { LogQueue } from '../../agent/src/log-queue.ts';
import { pin } from '../../agent/src/pin.ts';
import { holdSession } from '../../agent/src/session.ts';
import { LogIntake } from '../../controller/src/core/log-intake.ts';
import { RunLog } from '../../controller/src/core/run-log.ts';
import { startAgentServer } from '../../controller/src/listen/agents.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { makeCredential, readCredential } from '../../controller/src/machine/token.ts';
import { beginRunLogs } from '../../controller/src/store/run-logs.ts';
import { makeTls } from '../../controller/src/store/tls.ts';

const refuse = { refused: 'denied', why: 'nobody registers here' } as const;
const cost = (cpu: NodeJS.CpuUsage, rss: number) =>
  `${((cpu.user + cpu.system) / 1e6).toFixed(1)} s of CPU, ${process.memoryUsage.rss() >> 20} MiB (${rss >> 20} before)`;

async function agent(endpoint: string, fingerprint: string, program: string): Promise<void> {
  const pinned = await pin(endpoint, fingerprint, makeClient);
  const identity = loadIdentity(undefined, 'boot', fingerprint);
  process.send!({ key: identity.publicKey.toString('base64') });
  const credential = await new Promise<string>((resolve) => process.once('message', (text: string) => resolve(text)));
  const logs = new LogQueue({ stream: 1n });
  const stop = new AbortController();
  const [cpu, rss] = [process.cpuUsage(), process.memoryUsage.rss()];
  process.once('message', () => {
    process.send!({ cost: `${cost(process.cpuUsage(cpu), rss)}, ${logs.dropped} dropped` });
    stop.abort();
  });
  const following = followJournal({ sink: logs, clock: realClock, signal: stop.signal, program, ownPid: 0 });
  await holdSession({
    client: pinned.client,
    identity,
    credential: { credential, host: 'm1', heartbeatMs: 5000 },
    address: pinned.localAddress,
    instructions: {} as Instructions,
    logs,
    clock: realClock,
    vitals: () => ({ uptimeMs: 0, memoryAvailableBytes: 0 }),
    addressHolds: () => true,
    carryProgress: () => {},
    carryHardware: () => {},
    signal: stop.signal,
  });
  await following;
  process.disconnect();
}

async function controller(lines: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-bench-'));
  const tls = await makeTls();
  const ticks = () => performance.now();
  const files = beginRunLogs({ logDir: folder, now: Date.now, ticks, warn: console.error });
  const log = new RunLog({ files, mask: (text) => text, now: Date.now });
  const intake = new LogIntake();
  const all = Promise.withResolvers<void>();
  let came = 0;
  const server = await startAgentServer({
    addresses: ['127.0.0.1'],
    port: 0,
    tls,
    core: {
      onRegister: () => refuse,
      readCredential: (text) => readCredential(tls.credentialSecret, text),
      onSessionUp: () => undefined,
      onSessionDown: () => {},
      onHeartbeat: () => {},
      onProgress: () => {},
      async onLog(host, batch) {
        const taken = intake.take(host, batch, Date.now());
        log.keep(
          host,
          taken.lines.map((line) => ({ ...line, origin: 'journal' })),
        );
        came += taken.lines.length;
        if (came === lines) all.resolve();
        await log.room();
        return taken.next;
      },
    },
  });
  const program = join(folder, 'journalctl');
  const json =
    '{"__REALTIME_TIMESTAMP":"1795212947052418","__MONOTONIC_TIMESTAMP":"1","_PID":"7876","__CURSOR":"s=105f3d0a51054191ae16f9d437095ad5;i=9c0;b=73a7","_SYSTEMD_UNIT":"flood.service","PRIORITY":"6","MESSAGE":"line %.0f of a flood, about as long as lines of a journal usually are"}';
  writeFileSync(program, `#!/bin/sh\nseq -f '${json}' ${lines}\nexec sleep 600\n`);
  chmodSync(program, 0o755);
  const child = fork(import.meta.filename, ['agent', server.bound[0]!, tls.fingerprint, program]);
  const told = () => new Promise<Record<string, string>>((resolve) => child.once('message', resolve as () => void));
  const agentKey = Buffer.from((await told()).key!, 'base64');
  const about = { host: 'm1', mac: '52:54:00:00:00:01' as Mac, bootId: 'boot', agentKey };
  const [cpu, rss] = [process.cpuUsage(), process.memoryUsage.rss()];
  const began = ticks();
  child.send(makeCredential(tls.credentialSecret, about));
  await all.promise;
  const seconds = (ticks() - began) / 1000;
  const own = cost(process.cpuUsage(cpu), rss);
  child.send('end');
  const theirs = (await told()).cost;
  console.log(`${lines} lines in ${seconds.toFixed(1)} s: ${Math.round(lines / seconds)} lines/s`);
  console.log(`agent: ${theirs}\ncontroller: ${own}`);
  await server.close();
  await files?.close();
  rmSync(folder, { recursive: true });
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'agent') await agent(rest[0]!, rest[1]!, rest[2]!);
else await controller(Number(role ?? 100_000));
