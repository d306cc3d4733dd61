// Is a machine up, and does it run what was built for it? Asked before anything is done, and after the reboot.
import { join } from 'node:path';
import type { Proof, ProofRequest } from '../install/verify.ts';
import type { Happening, Life } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { iso } from './core.ts';
import { NotLooked } from './place.ts';
import { cut, LinkCut, linkClock, silent, sshWay } from './relay-way.ts';
import { type Plan, realTools, type TaskWorld } from './task-world.ts';

const rebootMs = 90_000;
/** Looks that may fail, and milliseconds between them. A relay has 15 s to answer each, and all of them fit into the patience of the stage. */
const mostLooks = 4;
const lookPauseMs = 10_000;

/** Whoever has not been looked for may be up: an answer that isn't had is never one that nobody is there. */
export async function probe(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const began = linkClock(world);
  for (let looks = 1; ; looks++) {
    try {
      const seen = await look(world, plan, signal);
      if (signal.aborted) return;
      if (seen === undefined && cut(world, plan.host, began)) throw new LinkCut('it could not be looked for');
      if (seen === undefined && silent(world, plan.host))
        throw new NotLooked(`relay ${plan.host.relay} has said nothing for a while`);
      return world.tell(life.host, seen ?? { kind: 'found-nobody' });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof NotLooked)) throw error;
      if (cut(world, plan.host, began)) throw new LinkCut(error.message);
      if (looks >= mostLooks)
        throw new Error(`whether it is up could not be found out, so it was left alone: ${error.message}`);
      if (looks === 1)
        world.emit({
          event: 'notice',
          at: iso(world.now()),
          host: life.host,
          level: 'warning',
          text: `whether ${life.host} is up is not known yet (${error.message}); it is looked for again`,
        });
    }
    await world.sleep(lookPauseMs, signal);
    if (signal.aborted) return;
  }
}

/** What can be said of a machine that is up. */
export type Seen = Extract<Happening, { kind: 'found-proved' | 'found-doubtful' }>;

/**
 * Is it up, and does it run what was built? Nothing is sent to it but a login with a pinned key. Undefined: nobody answers, or nobody but the
 * installer that we started.
 * @throws NotLooked when nothing was found, and not everywhere could be looked
 */
export async function look(world: TaskWorld, plan: Plan, signal: AbortSignal): Promise<Seen | undefined> {
  const { host } = plan;
  const tools = world.tools ?? realTools;
  // The operator has said that it is to be installed again, so what it runs doesn't matter.
  if (world.asksFirst !== true && world.mayLoseData(host)) return undefined;
  const known = await tools.exists(join(world.stateDir, 'hostkeys', host.name, 'ssh_host_ed25519_key'));
  /** Where nobody could be asked, and why. */
  const unasked = new Set<string>();
  const missed = (why: string) => void unasked.add(why);
  const [seen, maybe] = await Promise.all([
    seenAt(world, plan, signal, missed),
    known ? maybeAt(world, plan, signal, missed) : [],
  ]);
  const scan = async (address: string) => {
    const scanned = await tools.scanHostKey({
      address,
      searchPath: world.searchPath,
      signal,
      ...asChild(world),
      ...sshWay(world, host),
      ssh: world.realSsh,
      folder: world.proofFolder ?? world.stateDir,
    });
    if (scanned.kind === 'key') return scanned.key;
    if (scanned.unasked) missed(scanned.detail);
    return undefined;
  };
  for (const address of new Set([...seen, ...maybe])) {
    if (signal.aborted) return undefined;
    let verdict: Seen | undefined;
    let key: string | undefined;
    if (known) {
      const { publicKey } = await tools.installedHostKey(world.stateDir, host.name, world.keygen);
      const proof = await tools.prove(proofRequest(world, plan, publicKey, address, signal));
      if (proof.kind === 'unreachable' && proof.unasked) missed(proof.detail);
      if (proof.kind === 'wrong-key') {
        // A name or a card may lead to anybody; where the MAC was seen it is the machine itself, maybe in an installer whose agent isn't up yet.
        if (!seen.includes(address) || world.expects(host.name)) continue;
        key = await scan(address);
      }
      verdict = whatProbeSays(plan, address, proof);
    } else {
      if (world.expects(host.name)) continue;
      key = await scan(address);
      if (key !== undefined)
        verdict = {
          kind: 'found-doubtful',
          address,
          reason: `it is up at ${address}, and this state directory holds no host key of it, so what it runs can't be proved; to install it again, switch it off first`,
        };
    }
    if (signal.aborted) return undefined;
    // The installer that an earlier life of this controller started: its agent is about to come back.
    if (verdict !== undefined && (key === undefined || key !== world.installerKey(host.name))) return verdict;
  }
  if (unasked.size > 0 && !signal.aborted) throw new NotLooked([...unasked].join('; '));
  return undefined;
}

/** Where its MACs are, by our own leases and on the networks. @param missed told why a network could not be looked at */
async function seenAt(
  world: TaskWorld,
  plan: Plan,
  signal: AbortSignal,
  missed: (why: string) => void,
): Promise<string[]> {
  const { macs, relay } = plan.host;
  return [...new Set([...world.leased(macs, relay), ...(await found(world, macs, signal, relay, missed))])];
}

async function found(
  world: TaskWorld,
  macs: readonly Mac[],
  signal: AbortSignal,
  relay: string | undefined,
  missed: (why: string) => void,
): Promise<readonly string[]> {
  try {
    return await world.finder.find(macs, signal, relay);
  } catch (error) {
    if (!(error instanceof NotLooked)) throw error;
    missed(error.message);
    return [];
  }
}

/**
 * Where it may be as well: where it was proved last, where its name leads, and where cards are that the hosts file doesn't list, for Linux answers ARP for each address of a
 * machine by any of its cards. The key is pinned, so an address of somebody else does no harm.
 */
async function maybeAt(
  world: TaskWorld,
  plan: Plan,
  signal: AbortSignal,
  missed: (why: string) => void,
): Promise<string[]> {
  const { host, system } = plan;
  const cards = (world.cardsOf?.(host.name) ?? []).filter((mac) => !host.macs.includes(mac));
  const [named, others] = await Promise.all([
    world.lookup?.([...new Set([system.hostName ?? host.name, host.name])]) ?? [],
    cards.length > 0 ? found(world, cards, signal, host.relay, missed) : [],
  ]);
  const before = world.provedBefore?.(host.name);
  return [...new Set([...(before === undefined ? [] : [before]), ...named, ...others])];
}

function whatProbeSays(plan: Plan, address: string, proof: Proof): Seen | undefined {
  const again = `to install it again: --reinstall ${plan.host.name}`;
  switch (proof.kind) {
    case 'proved':
      return { kind: 'found-proved', address };
    case 'other-system':
      return {
        kind: 'found-doubtful',
        address,
        reason: `it is up at ${address} and runs ${proof.booted ?? proof.current ?? 'an unknown system'}, not ${plan.system.toplevel.out}; to update it use nixos-rebuild, ${again}`,
      };
    case 'no-way-in':
      return {
        kind: 'found-doubtful',
        address,
        reason: `it is up at ${address} with the host key that was placed, but lets nobody in to say what it runs (${proof.detail}); give --ssh-key, or ${again}`,
      };
    case 'wrong-key':
      return {
        kind: 'found-doubtful',
        address,
        reason: `it is up at ${address} with a host key that Nixie did not place (its installer, or another system); switch it off and run again, or ${again}`,
      };
    case 'unreachable':
      return undefined;
  }
}

function asChild({ childUser }: TaskWorld) {
  return childUser === undefined ? {} : { as: childUser };
}

function proofRequest(
  world: TaskWorld,
  plan: Plan,
  hostKey: string,
  address: string,
  signal: AbortSignal,
): ProofRequest {
  return {
    address,
    hostKey,
    toplevel: plan.system.toplevel.out,
    identities: world.identities,
    ...(world.agentSocket === undefined ? {} : { agentSocket: world.agentSocket }),
    folder: world.proofFolder ?? world.stateDir,
    searchPath: world.searchPath,
    ssh: world.realSsh,
    ...asChild(world),
    ...sshWay(world, plan.host),
    signal,
  };
}

export async function proveInstalled(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const tools = world.tools ?? realTools;
  const began = linkClock(world);
  const { publicKey } = await tools.installedHostKey(world.stateDir, life.host, world.keygen);
  const { address: _none, ...request } = proofRequest(world, plan, publicKey, '', signal);
  // Taken up again after an earlier life of the controller, or by the operator: it may be off, or still be in its installer.
  const resumed = life.bootId === undefined;
  // One that shows another key still is in its installer: nixos-anywhere takes a link that is cut for the reboot.
  let sent = false;
  if (resumed) await world.wake(plan.host.macs, signal, plan.host.relay);
  let seen: readonly string[] = [];
  /** Of the last look. */
  let unlooked: string | undefined;
  const proof = await tools.waitForProof({
    ...request,
    addresses: async () => {
      unlooked = undefined;
      const missed = (why: string) => {
        unlooked = why;
      };
      const [here, maybe] = await Promise.all([
        seenAt(world, plan, signal, missed),
        maybeAt(world, plan, signal, missed),
      ]);
      seen = [...new Set([...here, ...(life.address === undefined ? [] : [life.address])])];
      return [...new Set([...seen, ...maybe])];
    },
    patienceMs: world.proofPatienceMs,
    onTry: (address, each) => {
      if (each.kind === 'proved') return;
      world.emit({
        event: 'log',
        at: iso(world.now()),
        host: life.host,
        source: 'proof',
        text: `${address ?? 'no address'}: ${each.kind}${'detail' in each ? `: ${each.detail}` : ''}`,
      });
      if (sent || each.kind !== 'wrong-key' || address === undefined || !seen.includes(address)) return;
      sent = true;
      world.agents.instruct(life.host, { $case: 'reboot', value: { delayMs: 0 } }, rebootMs).catch(() => undefined);
    },
  });
  if (signal.aborted) return;
  const tell = (happening: Happening) => world.tell(life.host, happening);
  switch (proof.kind) {
    case 'proved':
      return tell({ kind: 'proof-given', address: proof.address ?? life.address ?? '', hostKey: publicKey });
    case 'no-way-in':
      return tell({
        kind: 'proof-impossible',
        address: proof.address ?? '',
        reason: `it shows the host key that was placed, but lets nobody in: ${proof.detail}`,
      });
    case 'other-system':
      return tell({
        kind: 'failed',
        reason: `it booted ${proof.booted ?? 'an unknown system'}, not ${plan.system.toplevel.out}`,
      });
    case 'wrong-key':
      return tell({
        kind: 'failed',
        reason:
          proof.address !== undefined && seen.includes(proof.address)
            ? `after the reboot another host key than the placed one answers at ${proof.address}: did it boot from somewhere else?`
            : `the installed system did not come up; another machine answers at ${proof.address}, where its name or another card of it was looked for`,
      });
    case 'unreachable':
      if (cut(world, plan.host, began)) throw new LinkCut(proof.detail);
      return tell({
        kind: 'failed',
        reason:
          unlooked === undefined
            ? `the installed system did not come up: ${proof.detail}`
            : `whether the installed system came up is not known: ${unlooked}`,
      });
  }
}
