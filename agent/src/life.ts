// The agent's life: reach the controller, register once, hold a session for ever.
import type { AgentServiceClient, Progress } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';
import { Ticket } from '@nixie/proto/pinned';
import { installKeys } from './authorized-keys.ts';
import { fullJitterMs } from './backoff.ts';
import { makeClient } from './client.ts';
import type { SendReport } from './hardware-report.ts';
import type { Clock, Log } from './host.ts';
import { awaitHostKey } from './host-key.ts';
import type { Identity } from './identity.ts';
import type { Instructions } from './instructions.ts';
import type { LogQueue } from './log-queue.ts';
import { installRunning } from './mounts.ts';
import { holdsAddress, ownAddresses } from './network.ts';
import { PinError, type Pinned, pin } from './pin.ts';
import type { Power } from './power.ts';
import { type Registered, register } from './register.ts';
import { holdSession } from './session.ts';
import type { Settings } from './settings.ts';
import { awaitSshServer } from './ssh-server.ts';
import { agentVersion } from './version.ts';

export interface LifeParts {
  readonly settings: Settings;
  readonly identity: Identity;
  readonly instructions: Instructions;
  readonly logs: LogQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly power: Power;
  /** The inventory will be wanted. */
  readonly beginInventory: () => void;
  readonly inventory: (reachedBy: string) => Promise<Inventory>;
  readonly vitals: () => { uptimeMs: number; memoryAvailableBytes: number };
  /** Told before each session: `IP:port` that it is held with. */
  readonly holding: (endpoint: string) => void;
  readonly carryProgress: (send: ((progress: Progress) => void) | undefined) => void;
  /** The same for what takes long to gather. */
  readonly carryHardware: (send: SendReport | undefined) => void;
  readonly signal: AbortSignal;
}

/** Runs until the signal fires, or until the machine was rebooted for a new boot script. */
export async function live(parts: LifeParts): Promise<void> {
  const { settings, clock, log, identity, signal } = parts;
  let attempt = 0;
  /** Since when, on the monotonic clock, only a new boot script could help. */
  let hopelessSince: number | undefined;
  let said = '';
  /** Of any of the addresses: behind them is one controller, as its certificate says. */
  const ticket = new Ticket();
  const report = (text: string): void => {
    if (text !== said) log.loud(text);
    said = text;
  };
  /** Counts the patience; true when the machine was sent to a reboot. */
  const hopeless = async (why: string): Promise<boolean> => {
    hopelessSince ??= clock.ticks();
    report(why);
    if (clock.ticks() - hopelessSince < settings.patienceMs || installRunning(settings.root)) return false;
    await parts.power.now('reboot', `for a new boot script, since ${why}`);
    return true;
  };

  // It starts beside the network, not behind it.
  if (ownAddresses().length === 0) await pause(5000, clock, signal);
  while (!signal.aborted) {
    const reaching = reach(settings, ticket);
    if (!identity.credential) parts.beginInventory();
    const reached = await reaching;
    if ('pinned' in reached) {
      const { client } = reached.pinned;
      try {
        let { credential } = identity;
        if (!credential) {
          const answer = await introduce(parts, reached.pinned);
          if (answer.kind === 'ok') {
            credential = identity.credential;
            hopelessSince = undefined;
            said = '';
          } else if (answer.kind === 'refused' && settings.refused === 'reboot') {
            if (await hopeless(`registration was refused: ${answer.why}`)) return;
          } else {
            hopelessSince = undefined;
            if (answer.kind === 'again') log.info(`register at ${reached.pinned.endpoint}: ${answer.why}`);
            else report(`registration was refused: ${answer.why}`);
          }
        }
        if (credential) {
          parts.holding(reached.pinned.endpoint);
          const end = await holdSession({
            ...parts,
            client,
            credential,
            address: reached.pinned.localAddress,
            addressHolds: () => holdsAddress(reached.pinned.localAddress),
          });
          log.info(`session with ${reached.pinned.endpoint} is over: ${end.why}`);
          if (end.kind === 'refused' && settings.refused === 'reboot') {
            if (await hopeless(`the session was refused: ${end.why}`)) return;
          } else if (end.kind === 'refused' || end.kind === 'conflict') {
            report(`the session was refused: ${end.why}`);
          } else if (end.kind === 'moved' || end.livedMs > 10_000) {
            attempt = 0;
            hopelessSince = undefined;
          }
          // The next look for the controller tells the new address; at once, but never in a busy loop.
          if (end.kind === 'moved' && end.livedMs > 1000) continue;
        }
      } finally {
        client.close();
      }
    } else if (reached.other) {
      if (await hopeless(reached.why)) return;
    } else if (reached.why !== said) {
      // On the console too: the person in front of a machine without network has nothing else.
      report(reached.why);
    }
    if (signal.aborted) break;
    await pause(fullJitterMs(attempt, clock.random(), 1000, identity.credential ? 60_000 : 15_000), clock, signal);
    attempt += 1;
  }
}

/** Sleeps; where no card has an address yet, only until the first one has. */
async function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ownAddresses().length > 0) return await clock.sleep(ms, signal);
  const until = clock.ticks() + ms;
  while (!signal.aborted && ownAddresses().length === 0 && clock.ticks() < until) await clock.sleep(50, signal);
}

type Reached = { pinned: Pinned<AgentServiceClient> } | { why: string; other: boolean };

/** The first controller address that answers with the right certificate. `other`: some answered, all with another certificate. */
async function reach(settings: Settings, ticket: Ticket): Promise<Reached> {
  const whys: string[] = [];
  let other = false;
  for (const endpoint of settings.controllers) {
    try {
      return { pinned: await pin(endpoint, settings.fingerprint, makeClient, { ticket }) };
    } catch (error) {
      other ||= error instanceof PinError;
      whys.push((error as Error).message);
    }
  }
  if (ownAddresses().length === 0) whys.push('no network card has an address yet');
  return { why: whys.join('; '), other };
}

/** Registers and puts the keys in place. The credential is kept only when they are. */
async function introduce(
  { settings, identity, clock, log, inventory, signal }: LifeParts,
  { client, localAddress }: Pinned<AgentServiceClient>,
): Promise<Registered> {
  const nic = ownAddresses().find(({ address }) => address === localAddress);
  const mac = settings.mac ?? nic?.mac;
  if (!mac)
    return { kind: 'again', why: 'no nixie.mac=, no BOOTIF=, and the card that reached the controller has no MAC' };
  const reachedAt = secondsNow();
  const sshHostKey = await awaitHostKey(settings.sshHostKeyFile, clock, 120_000, signal);
  if (sshHostKey === undefined) log.loud(`${settings.sshHostKeyFile} holds no public key: is sshd running?`);
  else if (!(await awaitSshServer(settings.root, clock, 30_000, signal)))
    log.loud('nobody listens on port 22: is sshd running?');
  const served = secondsNow();
  const collected = await inventory(localAddress);
  const inventoried = secondsNow();
  const answer = await register(
    client,
    {
      token: settings.token,
      mac,
      sshHostKey: sshHostKey ?? '',
      agentKey: identity.publicKey,
      bootId: identity.bootId,
      agentVersion,
      address: localAddress,
      inventory: collected,
    },
    20_000,
  );
  if (answer.kind !== 'ok') return answer;
  const { credential, host, heartbeatMs, authorizedKeys } = answer.response;
  try {
    const odd = installKeys(settings.authorizedKeysFile, authorizedKeys);
    if (odd.length > 0)
      log.info(`${odd.length} of the controller's authorized_keys lines are no keys and were left out`);
  } catch (error) {
    return { kind: 'again', why: `put keys into ${settings.authorizedKeysFile}: ${(error as Error).message}` };
  }
  identity.keep({ credential, host, heartbeatMs });
  log.loud(`registered as ${host}, ${authorizedKeys.length} keys may log in at ${localAddress}`);
  const times = `reached it ${reachedAt} s after its own start, sshd ${served}, inventory ${inventoried}, registered ${secondsNow()}`;
  log.info(times);
  return answer;
}

/** Seconds since the process began. */
const secondsNow = (): string => process.uptime().toFixed(1);
