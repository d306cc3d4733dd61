// `npm run bench -- agents [--rounds N] [--agents N] [--again N] [--handshakes N] [--lines N] [--json]`: sessions of agents with TLS and heartbeats over
// Nixie's own door, storms of them that come back, with the tickets they have and without, and log lines in batches of fifty; beside bare TLS handshakes
// of node:tls with the same certificate, clients and number at once, whole and resumed.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTls } from '../../controller/src/store/tls.ts';
import { startAgents } from './agent-crowd.ts';
import { bench, benchOptions, makeRig, type Served, serveNixie, serverAddress } from './rig.ts';
import type { AgentSettings } from './serve.ts';

const { rounds, json, sizes } = benchOptions({ agents: 10_000, again: 2000, handshakes: 2000, lines: 1_000_000 });
const count = sizes.agents!;
const again = Math.min(sizes.again!, count);

await bench('agents', { json }, async (say) => {
  const rig = await makeRig('agents');
  try {
    const { certPem, keyPem } = await makeTls();
    const tls = { certPem, keyPem };
    const settings: AgentSettings = { address: serverAddress, tls, mostSessions: count + 10 };
    writeFileSync(join(rig.folder, 'settings'), JSON.stringify(settings));
    const serve = (role: 'agents' | 'tls'): Promise<Served> =>
      serveNixie(rig, role, `@${join(rig.folder, 'settings')}`);
    const door = await serve('agents');
    const bare = await serve('tls');
    const crowd = await startAgents(rig, tls);
    const told = async (): Promise<Record<string, number>> => JSON.parse(await door.ask('?')) as Record<string, number>;

    await crowd.say('bare 200');
    const before = await told();
    const connected = await crowd.say(`connect ${count}`);
    const after = await told();
    const kilobytes = (after.rss! - before.rss!) / count / 1000;
    say(
      `${count} agents connected in ${connected.seconds!.toFixed(1)} s: ${(count / connected.seconds!).toFixed(0)} a second, ${kilobytes.toFixed(1)} KB each`,
    );
    const quiet = door.cpuSeconds();
    const beating = 15;
    const beats = await crowd.say(`beat ${beating}`);
    const core = (door.cpuSeconds() - quiet) / beating;
    const held = await told();
    say(
      `heartbeats: ${beats.acknowledged} of ${beats.sent} acknowledged, p99 ${beats.p99Ms!.toFixed(1)} ms, ${core.toFixed(3)} of a core, ${held.sessions} sessions held, ${beats.lost} lost`,
    );
    const linesPerSecond: number[] = [];
    const storm = (word: string, from: Served, number: number, resumed: boolean) => {
      const [perSecond, cpuMs]: [number[], number[]] = [[], []];
      const run = async (): Promise<void> => {
        const began = from.cpuSeconds();
        const done = await crowd.say(`${word} ${number}`);
        perSecond.push(number / done.seconds!);
        cpuMs.push(((from.cpuSeconds() - began) / number) * 1000);
        if (done.resumed !== (resumed ? number : 0)) throw new Error(`${word}: ${done.resumed} of ${number} resumed`);
      };
      const last = (): string =>
        `${perSecond.at(-1)!.toFixed(0)} a second (${cpuMs.at(-1)!.toFixed(2)} ms of CPU each)`;
      return { run, last, perSecond, cpuMs };
    };
    const back = storm('again', door, again, true);
    const anew = storm('anew', door, again, false);
    const whole = storm('bare', bare, sizes.handshakes!, false);
    const resumed = storm('bare-again', bare, sizes.handshakes!, true);
    const storms = [back, whole, anew, resumed];
    for (let round = 0; round < rounds; round++) {
      for (const each of round % 2 === 0 ? storms : storms.toReversed()) await each.run();
      const start = await told();
      const { seconds, lines } = await crowd.say(`lines ${sizes.lines}`);
      const came = (await told()).lines! - start.lines!;
      if (came !== lines) throw new Error(`${came} of ${lines} log lines came`);
      linesPerSecond.push(lines / seconds!);
      say(
        `round ${round + 1}: came back ${back.last()}, with whole handshakes ${anew.last()}; node:tls ${whole.last()}, resumed ${resumed.last()}; ${Math.round(linesPerSecond.at(-1)!)} lines a second`,
      );
    }
    const end = await told();
    await crowd.stop();
    say(
      `\n${count} agents in one process, TLS 1.3 with a P-256 certificate, 16 handshakes at once; ${again} come back after they were cut off; ${sizes.lines} lines in batches of 50 through the intake, not to files; ${rounds} rounds`,
    );
    return [
      {
        figure: 'sessions held',
        values: [held.sessions! - beats.lost!, end.sessions!],
        peer: 'agents',
        peerValues: [count],
        goal: 1,
        want: 'at least',
      },
      {
        figure: 'heartbeats acknowledged',
        values: [beats.acknowledged!],
        peer: 'sent',
        peerValues: [beats.sent!],
        goal: 1,
        want: 'at least',
      },
      { figure: 'memory of an agent, KB', values: [kilobytes], peer: 'limit', peerValues: [110], goal: 1 },
      ...[
        { mine: back, how: 'come back', peer: 'node:tls', theirs: whole },
        { mine: anew, how: 'come back without tickets', peer: 'node:tls', theirs: whole },
        { mine: back, how: 'come back, both resumed', peer: 'node:tls resumed', theirs: resumed },
      ].flatMap(({ mine, how, peer, theirs }) => [
        {
          figure: `${how}, a second`,
          values: mine.perSecond,
          peer,
          peerValues: theirs.perSecond,
          goal: 0.4,
          want: 'at least' as const,
        },
        { figure: `${how}, CPU ms each`, values: mine.cpuMs, peer, peerValues: theirs.cpuMs, goal: 2.5 },
      ]),
      {
        figure: 'log lines/s',
        values: linesPerSecond,
        peer: 'wanted',
        peerValues: [300_000],
        goal: 1,
        want: 'at least',
      },
    ];
  } finally {
    await rig.close();
  }
});
