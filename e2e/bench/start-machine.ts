// The agent and an executable that does nothing, made in the same way from the same Node, started in turns in one emulated machine: the lab's
// installer. The controller is this process, outside of the machine, so what is counted is the agent's own work.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildAgent } from '../../agent/build.mjs';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { makeTls } from '../../controller/src/store/tls.ts';
import { openDoor } from '../lab/agent/door.ts';
import { freePort } from '../lab/free-port.ts';
import { prepareLab } from '../lab/image/build.ts';
import { powerOn, type Solo, soloHardware } from '../lab/image/solo.ts';
import { until } from '../lab/patience.ts';

/** Milliseconds by the machine's own clock, and bytes of resident memory, one of each for each round. */
export interface StartFigures {
  /** From the start of the agent to its word that it is registered and the keys are in place. */
  readonly registeredMs: number[];
  /** From the start of the empty executable to its end. */
  readonly emptyMs: number[];
  /** Some seconds after the agent has sent what every collector found. */
  readonly agentBytes: number[];
  /** Of the empty executable at the same moment. */
  readonly idleBytes: number[];
}

export const emptyProgram = 'if (process.argv[2] === "stay") setInterval(() => {}, 1e6);';

/** The executable that does nothing. */
export async function buildEmpty(agent: string): Promise<string> {
  const outDir = join(dirname(agent), 'empty');
  mkdirSync(outDir, { recursive: true });
  return (await buildAgent({ outDir, program: emptyProgram })).path;
}

const limitMs = 900_000;
const stageMs = 180_000;
/** Of the host, as QEMU's user network shows it to the machine. */
const gateway = '10.0.2.2';
const mac = soloHardware.mac as Mac;
/** A burst's memory is given back by then. */
const quietMs = 8000;

/** Boots the machine, takes the rounds, ends it. `round` hears of each. */
export async function measureStarts(
  rounds: number,
  heard: (words: string) => void,
  agentExecutable?: string,
): Promise<StartFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-start-'));
  let machine: Solo | undefined;
  const agent = agentExecutable ?? (await buildAgent()).path;
  const empty = await buildEmpty((await buildAgent()).path);
  const tls = await makeTls();
  const door = await openDoor(tls, { heartbeatMs: 5000 });
  const { fingerprint } = tls;
  try {
    // The image's own agent is a stand-in: nothing but ours runs beside what is measured.
    const lab = await prepareLab({ machines: 1 });
    const key = join(folder, 'key');
    await lab.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'start bench', '-f', key]);
    const argv = ['nix', '--extra-experimental-features', 'nix-command flakes', 'build', '--no-link', '--json'];
    const told = await lab.run([...argv, `${lab.flake}#nixosConfigurations.installer.config.system.build.nixie`]);
    const bundle = (JSON.parse(told) as { outputs: { out: string } }[])[0]!.outputs.out;
    const part = async (name: string): Promise<string> =>
      (await lab.run(['readlink', '-f', `${bundle}/${name}`])).trim();
    const params = (await lab.run(['cat', `${bundle}/kernel-params`])).trim();
    const word = `nixie.lab_key=${readFileSync(`${key}.pub`).toString('base64')}`;
    const sshPort = await freePort();
    machine = await powerOn({
      folder,
      firmware: 'bios',
      sshPort,
      diskSerial: 'NIXIE1',
      kernel: {
        kernel: lab.onHost(await part('kernel')),
        initrd: lab.onHost(await part('initrd')),
        words: `init=${await part('init')} ${params} ${word}`,
      },
      readOnlyDisks: [agent, empty],
      deadlineMs: limitMs,
    });
    await machine.seen(/NIXIE-STAGE sshd/, stageMs);
    const ssh = async (command: string): Promise<string> => {
      const options = ['BatchMode=yes', 'LogLevel=ERROR', 'StrictHostKeyChecking=no', 'ConnectTimeout=30'];
      const argv = ['ssh', '-F', '/dev/null', '-i', key, '-p', String(sshPort), '-o', 'UserKnownHostsFile=/dev/null'];
      argv.push(...options.flatMap((option) => ['-o', option]), 'root@127.0.0.1', command);
      return (await lab.run(argv, { deadlineMs: stageMs })).trim();
    };
    // Both in memory, as the agent of a real image is; the disks they came on are no part of the machine.
    await ssh(`set -e; mkdir /run/start; mount -t tmpfs -o size=400m,mode=700 none /run/start; cd /run/start
      cp /dev/vdb agent; cp /dev/vdc empty; chmod 755 agent empty; mkfifo words; systemctl is-system-running --wait || true
      for disk in vdb vdc; do echo 1 > /sys/block/$disk/device/../remove; done
      ./empty; ./agent --version`);

    const figures: StartFigures = { registeredMs: [], emptyMs: [], agentBytes: [], idleBytes: [] };
    for (let round = 0; round < rounds; round += 1) {
      const token = door.tokens.issue(mac, 'machine1', Date.now());
      const controller = `${gateway}:${door.server.port}`;
      const before = door.hardware.length;
      // One clock, read without starting a program.
      const emptyTurn = 's=$EPOCHREALTIME; ./empty; echo "empty $s $EPOCHREALTIME"';
      let words = round % 2 === 0 ? `${await ssh(`cd /run/start; ${emptyTurn}`)}\n` : '';
      words += await ssh(`cd /run/start; s=$EPOCHREALTIME
        ./agent --controller ${controller} --fingerprint ${fingerprint} --token ${token} --mac ${mac} --cmdline /dev/null --refused wait \
          --state /run/start/state${round} --authorized-keys /run/start/keys < /dev/null > /dev/null 2> words & agent=$!
        exec 3< words
        while read -t 60 -r line <&3; do case $line in *'registered as'*) echo; echo "agent $s $EPOCHREALTIME"; break;; esac; done
        cat <&3 > agent.log 2>&1 & exec 3<&-
        ./empty stay < /dev/null > /dev/null 2>&1 & echo "pids $agent $!"`);
      const line = (name: string): string[] => new RegExp(`^${name} (\\S+) (\\S+)$`, 'm').exec(words)?.slice(1) ?? [];
      const [agentPid, idlePid] = line('pids');
      await until(
        'the full inventory',
        () => door.hardware.length > before,
        () => words,
        120_000,
      );
      const both = `${agentPid} ${idlePid}`;
      const said = await ssh(
        `sleep ${quietMs / 1000}; for p in ${both}; do grep VmRSS /proc/$p/status; done; kill ${both}; grep -o 'reached it.*' /run/start/agent.log`,
      );
      const [agentBytes, idleBytes] = [...said.matchAll(/^VmRSS:\s+(\d+) kB/gm)].map(([, kib]) => Number(kib) * 1024);
      // Every second time behind the agent, in a machine that is quiet again.
      if (round % 2 === 1) words += `\n${await ssh(`cd /run/start; sleep 1; ${emptyTurn}`)}`;
      const took = (name: string): number => {
        const [began, ended] = line(name);
        return (Number(ended) - Number(began)) * 1000;
      };
      figures.registeredMs.push(took('agent'));
      figures.emptyMs.push(took('empty'));
      figures.agentBytes.push(agentBytes ?? Number.NaN);
      figures.idleBytes.push(idleBytes ?? Number.NaN);
      heard(
        `round ${round + 1}: registered after ${took('agent').toFixed(0)} ms, empty ${took('empty').toFixed(0)} ms; ${Number(agentBytes) >> 20} MiB, empty ${Number(idleBytes) >> 20} MiB; ${/reached it.*/.exec(said)?.[0] ?? ''}`,
      );
    }
    await ssh('poweroff').catch(() => {});
    await machine.child.exited;
    return figures;
  } finally {
    await machine?.child.stop();
    await door.server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
