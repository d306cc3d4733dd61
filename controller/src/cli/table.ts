// The table at the end of a run. Pure.
import type { Speaker } from '../machine/event.ts';
import { isEnd, type Stage, waySteps } from '../machine/stage.ts';
import type { Paint } from './colour.ts';
import { colourOfEnd, totalSeconds } from './render.ts';
import { cell, width as cellsOf, clean, clock, cut, wrap } from './text.ts';
import { counts, type HostView, type ViewState } from './view-state.ts';

const resultCells = 10;
const totalCells = 7;
const longestLog = 10;
const speakers: Readonly<Record<Speaker, string>> = {
  nix: 'nix',
  'nixos-anywhere': 'nixos-anywhere',
  agent: 'its agent and its installer',
  kernel: 'its kernel',
};

/** Host, result, time in all and in each stage; below it the reason and the last lines of its log, when there are any. */
export function table(state: ViewState, width: number, paint: Paint): string[] {
  const hosts = [...state.hosts.values()];
  const nameCells = Math.min(32, Math.max(4, ...hosts.map(({ name }) => cellsOf(name))));
  const left = nameCells + 1 + resultCells + 1 + totalCells + 2;
  const right = Math.max(20, width - left);
  const indent = ' '.repeat(nameCells + 1);
  const lines = [
    paint(
      'bold',
      `${cell('host', nameCells)} ${cell('result', resultCells)} ${'time'.padStart(totalCells)}  time per stage`,
    ),
  ];
  for (const host of hosts) {
    const { stage, result } = host;
    const seconds = totalSeconds(host);
    const total = (seconds === undefined ? '-' : clock(seconds)).padStart(totalCells);
    const stages = wrap(perStage(result?.seconds ?? {}), right);
    const word = cell(stage, resultCells);
    lines.push(
      `${cell(host.name, nameCells)} ${isEnd(stage) ? paint(colourOfEnd[stage], word) : word} ${total}  ${stages[0]}`.trimEnd(),
    );
    for (const more of stages.slice(1)) lines.push(' '.repeat(left) + more);
    const said = [host.address, host.reason].filter(Boolean).join(': ');
    if (said !== '') for (const line of wrap(said, Math.max(20, width - indent.length))) lines.push(indent + line);
    const dim = (text: string) => lines.push(paint('dim', indent + cut(text, Math.max(20, width - indent.length))));
    for (const [speaker, words] of wordsOf(result)) {
      if (speaker !== undefined) dim(`last lines of ${speakers[speaker]}:`);
      for (const line of words) dim(`| ${clean(line)}`);
    }
  }
  const { end } = state;
  const sum = `${hosts.length} ${hosts.length === 1 ? 'host' : 'hosts'}: ${counts(state)}`;
  lines.push(end === undefined ? sum : `${sum}; ${clock(end.seconds)}, exit ${end.exit_code}`);
  return lines;
}

/** The last lines by who said them; where that isn't known, the last of all. */
function wordsOf(result: HostView['result']): readonly (readonly [Speaker | undefined, readonly string[]])[] {
  const known = (Object.keys(speakers) as Speaker[]).flatMap((speaker) => {
    const words = result?.last_words?.[speaker] ?? [];
    return words.length === 0 ? [] : [[speaker, words] as const];
  });
  return known.length > 0 ? known : [[undefined, (result?.log ?? []).slice(-longestLog)]];
}

/** `waking 0:02, firmware 0:11`: in the order of life; stages that took no second are left out unless all did. */
export function perStage(seconds: Readonly<Partial<Record<Stage, number>>>): string {
  const passed = waySteps.filter((stage) => seconds[stage] !== undefined && stage !== 'planned');
  const counted = passed.filter((stage) => seconds[stage]! >= 0.5);
  return (counted.length > 0 ? counted : passed)
    .map((stage) => `${stage} ${clock(Math.round(seconds[stage]!))}`)
    .join(', ');
}
