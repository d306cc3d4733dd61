// `npm run bench -- start [--rounds N] [--json]`: how soon the programs are there. `nixie --help` on this computer beside an empty start of the same
// Node; the agent until it is registered, and its memory when every collector has run, beside an executable that does nothing, in one emulated machine.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildController } from '../../controller/build.mjs';
import { stopAll } from '../lab/child.ts';
import { needMemory, needPrograms, needRoot } from '../lab/need.ts';
import { figureLines, type Measured } from './figures.ts';
import { measureStarts } from './start-machine.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '8' }, json: { type: 'boolean', default: false } },
});
const rounds = Math.max(2, Math.min(50, Number(values.rounds) || 8));
/** With --json standard output holds figures only. */
const say = (text: string): void => void process.stderr.write(`${text}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stopAll().finally(() => process.exit(130)));

// What is shipped: from the sources Node has to take the types out of every file first.
const box = mkdtempSync(join(tmpdir(), 'nixie-bench-'));
process.once('exit', () => rmSync(box, { recursive: true, force: true }));
const program = buildController(join(box, 'dist'));
copyFileSync(join(import.meta.dirname, '../../controller/package.json'), join(box, 'package.json'));
const help: number[] = [];
const emptyNode: number[] = [];
const took = (args: readonly string[]): number => {
  const began = performance.now();
  execFileSync(process.execPath, args, { stdio: 'ignore', timeout: 60_000 });
  return performance.now() - began;
};
// The first of each brings the files into memory.
took([program, '--help']);
took(['-e', '0']);
for (let round = 0; round < rounds; round += 1) {
  if (round % 2 === 0) help.push(took([program, '--help']));
  emptyNode.push(took(['-e', '0']));
  if (round % 2 === 1) help.push(took([program, '--help']));
}
const peer = `node ${process.versions.node} -e 0`;
const measured: Measured[] = [{ figure: 'nixie --help, ms', values: help, peer, peerValues: emptyNode, goal: 2.5 }];

const needs = [
  needRoot,
  needPrograms(['qemu-system-x86_64', 'nix', 'apt-get', 'dpkg-deb', 'unshare', 'ssh', 'ssh-keygen']),
  needMemory(2048),
];
const missing = needs.map((need) => need()).filter((why) => why !== undefined);
if (missing.length > 0) say(`bench start: the agent is left out: ${missing.join('; ')}`);
else {
  const { registeredMs, emptyMs, agentBytes, idleBytes } = await measureStarts(rounds, (line) =>
    say(`bench start: ${line}`),
  );
  const mebibytes = (bytes: readonly number[]): number[] => bytes.map((each) => each / 2 ** 20);
  const empty = 'empty executable, same machine';
  measured.push(
    { figure: 'agent registered, ms', values: registeredMs, peer: empty, peerValues: emptyMs, goal: 2 },
    {
      figure: 'agent resident, MiB',
      values: mebibytes(agentBytes),
      peer: empty,
      peerValues: mebibytes(idleBytes),
      goal: 1.5,
    },
  );
}
for (const line of figureLines('start', measured, values.json)) console.log(line);
