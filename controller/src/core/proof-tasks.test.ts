// Where a machine is looked for: by the MACs of the hosts file, and by those of its other cards, which answer ARP for its addresses as well.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Proof, WaitRequest } from '../install/verify.ts';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import { type Happening, newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { NotLooked } from './place.ts';
import { probe, proveInstalled } from './proof-tasks.ts';
import { LinkCut } from './relay-way.ts';
import type { Plan, TaskWorld } from './task-world.ts';

const listed = '52:54:00:00:00:01' as Mac;
const other = '52:54:00:00:00:02' as Mac;
const proved: Proof = { kind: 'proved', toplevel: '/nix/store/x', by: 'key' };
const wrong: Proof = { kind: 'wrong-key', detail: 'another key' };

/** @param arp MAC by address, as the neighbour table has it */
function play(given: {
  arp: Record<string, Mac>;
  cards?: readonly Mac[];
  proofs: Record<string, Proof>;
  known?: boolean;
  /** It is behind a relay, whose link was lost meanwhile or not. */
  cut?: boolean;
  /** That relay has said nothing for so many looks. */
  silent?: number;
  /** So many looks at the neighbours can't be had. */
  unlooked?: number;
  scan?: { kind: 'key'; key: string } | { kind: 'none'; detail: string; unasked?: true };
  leased?: readonly string[];
}) {
  let unlooked = given.unlooked ?? 0;
  let silentFor = given.silent ?? 0;
  const notices: string[] = [];
  const told: Happening[] = [];
  const asked: string[] = [];
  const orders: string[] = [];
  const prove = async ({ address }: { address: string }): Promise<Proof> => {
    asked.push(address);
    return given.proofs[address] ?? { kind: 'unreachable', detail: 'nobody' };
  };
  const world = {
    finder: {
      async find(macs: readonly Mac[]) {
        if (unlooked-- > 0) throw new NotLooked('relay rack7 did not say within 15 s who is there');
        return Object.keys(given.arp).filter((address) => macs.includes(given.arp[address]!));
      },
    },
    leased: () => given.leased ?? [],
    sleep: async () => {},
    ...(given.cards === undefined ? {} : { cardsOf: () => given.cards }),
    mayLoseData: () => false,
    expects: () => false,
    installerKey: () => undefined,
    tell: (_host: string, happening: Happening) => void told.push(happening),
    emit: (event: RunEvent) => event.event === 'notice' && notices.push(event.text),
    now: () => 0,
    identities: [],
    stateDir: '/state',
    agents: { instruct: async (host: string) => void orders.push(host) },
    ...(given.cut !== undefined && {
      relays: { ticks: () => 1, cutSince: () => given.cut, isSilent: () => silentFor-- > 0, sshOptions: () => [] },
    }),
    tools: {
      exists: async () => given.known ?? true,
      installedHostKey: async () => ({ publicKey: 'ssh-ed25519 PLACED' }),
      scanHostKey: async ({ address }: { address: string }) => {
        asked.push(address);
        return given.scan ?? { kind: 'key', key: 'ssh-ed25519 OTHER' };
      },
      prove,
      async waitForProof({ addresses, onTry }: WaitRequest) {
        let last: Proof & { address?: string } = { kind: 'unreachable', detail: 'its address was not found' };
        for (const address of await addresses()) {
          last = { ...(await prove({ address })), address };
          onTry?.(address, last);
          if (last.kind === 'proved') break;
        }
        return last;
      },
    },
  } as unknown as TaskWorld;
  const host = { name: 'm1', macs: [listed], ...(given.cut !== undefined && { relay: 'rack7' }) } as unknown as Host;
  const plan = { host, system: { toplevel: { out: '/nix/store/x' } } } as unknown as Plan;
  const run = async (task: typeof probe) => {
    await task(world, plan, { ...newLife('m1', 0), bootId: 'b' }, new AbortController().signal);
    return told.at(-1);
  };
  return { run, asked, orders, told, notices };
}

test('the card that is not listed answers ARP for the address of the listed one: it is found all the same', async () => {
  const scene = {
    arp: { '10.0.0.7': other, '10.0.0.8': other },
    cards: [listed, other],
    proofs: { '10.0.0.8': proved },
  };
  for (const [task, kind] of [
    [probe, 'found-proved'],
    [proveInstalled, 'proof-given'],
  ] as const) {
    const said = await play(scene).run(task);
    assert.ok(said?.kind === kind && said.address === '10.0.0.8', `${kind}: ${JSON.stringify(said)}`);
  }
});

test('where another card of it was, another machine may be by now: it is no sign of this one, and nothing is ordered', async () => {
  const scene = { arp: { '10.0.0.9': other }, cards: [listed, other], proofs: { '10.0.0.9': wrong } };
  assert.equal((await play(scene).run(probe))?.kind, 'found-nobody');
  const { run, orders } = play(scene);
  const said = await run(proveInstalled);
  assert.ok(said?.kind === 'failed');
  assert.match(
    said.reason,
    /another machine answers at 10\.0\.0\.9, where its name or another card of it was looked for/,
  );
  assert.deepEqual(orders, []);
});

test('without a placed host key nobody but the listed MACs is asked', async () => {
  const { run, asked } = play({ arp: { '10.0.0.9': other }, cards: [other], proofs: {}, known: false });
  assert.equal((await run(probe))?.kind, 'found-nobody');
  assert.deepEqual(asked, []);
});

test('that nobody was found while the link of its relay was lost says nothing', async () => {
  const scene = { arp: {}, proofs: {} };
  await assert.rejects(play({ ...scene, cut: true }).run(probe), LinkCut);
  assert.equal((await play({ ...scene, cut: false }).run(probe))?.kind, 'found-nobody');
  const found = { arp: { '10.0.0.7': listed }, proofs: { '10.0.0.7': proved } };
  assert.equal((await play({ ...found, cut: true }).run(probe))?.kind, 'found-proved');
});

test('who could not be looked for is not nobody: it is looked for again, and then left alone', async () => {
  const up = { arp: { '10.0.0.7': listed }, proofs: { '10.0.0.7': proved } };
  for (const relay of [{}, { cut: false }]) {
    const late = play({ ...up, ...relay, unlooked: 2 });
    assert.equal((await late.run(probe))?.kind, 'found-proved');
    assert.equal(late.notices.length, 1);
    assert.match(late.notices[0]!, /not known yet \(relay rack7 did not say/);
    const never = play({ ...up, ...relay, unlooked: 1000 });
    await assert.rejects(never.run(probe), /left alone: relay rack7 did not say within 15 s/);
    assert.deepEqual(never.told, []);
  }
  await assert.rejects(play({ ...up, cut: true, unlooked: 1000 }).run(probe), LinkCut);
});

test('nobody at home by the word of a relay that has said nothing for a while is asked for again', async () => {
  const late = play({ arp: {}, proofs: {}, cut: false, silent: 2 });
  assert.equal((await late.run(probe))?.kind, 'found-nobody');
  assert.match(late.notices.join(), /relay rack7 has said nothing for a while/);
  await assert.rejects(play({ arp: {}, proofs: {}, cut: false, silent: 99 }).run(probe), /left alone: relay rack7/);
});

test('a machine that is found elsewhere needs no look that failed', async () => {
  const scene = { arp: {}, proofs: { '10.0.0.7': proved }, leased: ['10.0.0.7'], unlooked: 1000 };
  assert.equal((await play(scene).run(probe))?.kind, 'found-proved');
});

test('a login that never came to its machine says nothing of it', async () => {
  const arp = { '10.0.0.7': listed };
  const detail = 'relay rack7 did not connect to 10.0.0.7 within 15 s';
  const unasked = { kind: 'unreachable', detail, unasked: true } as const;
  await assert.rejects(
    play({ arp, proofs: { '10.0.0.7': unasked }, cut: false }).run(probe),
    /left alone: relay rack7/,
  );
  const scan = { kind: 'none', detail, unasked: true } as const;
  await assert.rejects(play({ arp, proofs: {}, known: false, scan, cut: false }).run(probe), /left alone: relay rack7/);
  const closed = play({ arp, proofs: {}, known: false, scan: { kind: 'none', detail: 'refused' }, cut: false });
  assert.equal((await closed.run(probe))?.kind, 'found-nobody');
});

test('an installed machine that could not be looked for is not said to be down', async () => {
  const failed = await play({ arp: {}, proofs: {}, cut: false, unlooked: 1000 }).run(proveInstalled);
  assert.ok(failed?.kind === 'failed');
  assert.match(failed.reason, /whether the installed system came up is not known: relay rack7 did not say/);
  const found = { arp: {}, proofs: { '10.0.0.7': proved }, leased: ['10.0.0.7'], unlooked: 1000 };
  assert.equal((await play(found).run(proveInstalled))?.kind, 'proof-given');
});
