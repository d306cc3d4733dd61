// Who gets a boot script, and whose registration is believed. Everything is answered at once, from memory.
import { createHash } from 'node:crypto';
import type { RegisterRequest, RegisterResponse } from '@nixie/proto/agent';
import type { ScriptServed } from '@nixie/proto/relay';
import { type InstallerFiles, installerScript, localScript, refusalScript, waitScript } from '../answer/script.ts';
import { BootCount, mostBoots, scriptRefusals, whichScript } from '../answer/script-policy.ts';
import type { RunEvent } from '../machine/event.ts';
import type { Host, System } from '../machine/host.ts';
import { marked, moves, offerIn } from '../machine/life.ts';
import { type Mac, parseMac } from '../machine/mac.ts';
import { type Place, placeText } from '../machine/relay.ts';
import { isEnd } from '../machine/stage.ts';
import { type Credential, makeCredential, readCredential, type TokenBook } from '../machine/token.ts';
import type { KeptRegistration, Registrations } from '../store/registrations.ts';
import { type Core, iso } from './core.ts';
import type { Hosts } from './hosts.ts';
import { Warnings } from './warnings.ts';

export interface AdmissionWorld {
  readonly core: Core;
  readonly hosts: Hosts;
  readonly tokens: TokenBook;
  readonly registrations: Registrations;
  readonly installer: (system: System) => InstallerFiles | undefined;
  /** So few load that one more may. Absent: any number. */
  readonly mayLoad?: (host: Host) => boolean;
  /** Its relay told it to ask again, since too many load there. */
  readonly keptAway?: (host: Host) => void;
  /**
   * The MAC that has this address on our networks; undefined: not known. `foreign`: the address is on none of them.
   * @param ours the address of ours that it reached: two interfaces may have the same private addresses
   */
  readonly macAt: (address: string, ours?: string) => Mac | 'foreign' | undefined;
  /** Why an address on none of our networks can't be that of this host, booted by one of these MACs. Absent: nothing is known of what is beyond routers. */
  contradicts?(host: Host, macs: readonly Mac[], address: string): string | undefined;
  /** The agent of this host was heard a moment ago. A session alone says little: one of a machine that lost its power stays for half a minute. */
  alive?(host: string): boolean;
  /** Called when the tokens have changed. */
  tokensChanged?(): void;
  /** Lines for root's authorized_keys in the installer. */
  readonly authorizedKeys: readonly string[];
  readonly credentialSecret: Uint8Array;
  readonly fingerprint: string;
  readonly httpPort: number;
  readonly grpcPort: number;
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
  readonly emit: (event: RunEvent) => void;
}

interface Refused {
  readonly refused: 'unauthenticated' | 'denied' | 'invalid' | 'unavailable';
  readonly why: string;
}

const heartbeatMs = 5000;
/** A relay's word that a machine boots in a circle is believed when it is no older, by either clock. */
const loopWordMs = 5 * 60_000;
const boots = 'it fetched its boot script more than six times in ten minutes: it boots in a circle';

export class Admission {
  readonly #world: AdmissionWorld;
  readonly #boots = new BootCount();
  /** Boots of machines that have the keys of this life of the controller. */
  readonly #haveKeys = new Set<string>();
  /** Where the agent of each boot was reached last. */
  readonly #addresses = new Map<string, string>();
  readonly #warnings: Warnings;

  constructor(world: AdmissionWorld) {
    this.#world = world;
    const say = (text: string, host: string | undefined) =>
      world.emit({
        event: 'notice',
        at: iso(world.now()),
        level: 'warning',
        text,
        ...(host === undefined ? {} : { host }),
      });
    this.#warnings = new Warnings(say, world.ticks);
  }

  /** The script of this boot of this machine, with a token of its own. `refuse` is shown to nobody but the asker. */
  script(ask: { mac: Mac; remoteAddress: string; localAddress: string }): { script: string } | { refuse: string } {
    const { core, hosts, ticks } = this.#world;
    const host = hosts.withMac(ask.mac);
    const life = host === undefined ? undefined : core.life(host.name);
    if (host === undefined || life === undefined) return { refuse: scriptRefusals.unknown };
    const { name } = host;
    const seen = this.#world.macAt(ask.remoteAddress, ask.localAddress);
    const elsewhere = this.#elsewhere(host, ask.mac, seen, ask.remoteAddress);
    const files = this.#world.installer(host.system);
    const offer = offerIn(life.stage);
    const verdict = whichScript({
      seen: elsewhere === undefined ? seen : undefined,
      macs: host.macs,
      offer: offer === 'installer' && this.#world.alive?.(name) === true ? 'wait' : offer,
      leaving: hosts.isLeaving(name),
      hasInstaller: files !== undefined,
      fetchedLately: this.#boots.lately(name, ticks()),
      hasToken: true,
    });
    switch (verdict) {
      case 'stranger':
        this.#warn(
          name,
          `${ask.remoteAddress} (${elsewhere ?? seen ?? 'no known MAC'}) asked for the boot script of ${ask.mac} and was refused`,
        );
        return { refuse: scriptRefusals.stranger };
      case 'leaving':
        return { refuse: scriptRefusals.leaving };
      case 'not-ready':
        return { script: refusalScript(`${name} is not ready to be installed yet: it is still being built`) };
      case 'local':
        return { script: localScript(name) };
      case 'installer-runs':
        this.#warn(
          name,
          `${ask.remoteAddress} asked for the boot script of ${ask.mac} while its installer runs; it has to wait`,
        );
        return {
          script: waitScript(name, { address: ask.localAddress, httpPort: this.#world.httpPort, mac: ask.mac }),
        };
      case 'loop':
        core.happened(name, {
          kind: 'failed',
          reason: boots,
        });
        return { script: localScript(name) };
    }
    if (files === undefined) return { script: refusalScript(`there is no installer for ${host.system}`) };
    if (this.#world.mayLoad?.(host) === false) {
      const at = { address: ask.localAddress, httpPort: this.#world.httpPort, mac: ask.mac };
      return { script: waitScript(name, at, 'waits until fewer machines load') };
    }
    this.#boots.add(name, ticks());
    const script = installerScript(files, {
      machine: name,
      mac: ask.mac,
      address: ask.localAddress,
      httpPort: this.#world.httpPort,
      grpcPort: this.#world.grpcPort,
      fingerprint: this.#world.fingerprint,
      token: this.#world.tokens.issue(ask.mac, name, ticks()),
      boot: host.boot,
    });
    this.#world.tokensChanged?.();
    if (!isEnd(life.stage) && moves[life.stage]['script-fetched'] !== undefined)
      core.happened(name, { kind: 'script-fetched' });
    return { script };
  }

  /** Why the machine isn't where this asker is. */
  #elsewhere(host: Host, mac: Mac, seen: Mac | 'foreign' | undefined, address: string): string | undefined {
    if (seen === 'foreign') return this.#world.contradicts?.(host, [mac], address);
    return host.subnet === undefined ? undefined : `it belongs to ${host.subnet}`;
  }

  /** @param place where the connection comes from */
  register(request: RegisterRequest, place: Place): RegisterResponse | Refused {
    const { core, hosts, tokens, ticks } = this.#world;
    const peer = placeText(place);
    const mac = parseMac(request.mac);
    if (mac === undefined) return { refused: 'invalid', why: 'mac: not a MAC address' };
    if (!/^ssh-ed25519 [A-Za-z0-9+/]{60,80}={0,2}$/.test(request.sshHostKey))
      return { refused: 'invalid', why: 'ssh_host_key: accepted is "ssh-ed25519 AAAA…" without a comment' };
    if (request.bootId === '' || request.bootId.length > 64)
      return { refused: 'invalid', why: 'boot_id: empty or too long' };
    if (request.inventory === undefined) return { refused: 'invalid', why: 'inventory: absent' };
    const key = createHash('sha256').update(request.agentKey).digest('hex');
    const taken = tokens.check(request.token, mac, key, ticks());
    const { address } = place;
    switch (taken.verdict) {
      case 'unknown':
      case 'expired':
        this.#warn(taken.host, `a registration for ${mac} from ${peer} was refused: its token is ${taken.verdict}`);
        return { refused: 'unauthenticated', why: `the token is ${taken.verdict}` };
      case 'used':
      case 'other-mac':
        if (!(taken.verdict === 'used' && taken.newest && this.#twoClaim(taken.host, mac, place)))
          this.#warn(
            taken.host,
            `a registration for ${mac} from ${peer} was refused: ${taken.verdict === 'used' ? 'its token was used by another agent' : 'its token belongs to another MAC'}`,
          );
        return {
          refused: 'denied',
          why: taken.verdict === 'used' ? 'the token was used before' : 'the token belongs to another MAC',
        };
      case 'ok':
      case 'again':
        break;
    }
    // The connection is gone already: nobody can say any more whether it came by a relay.
    if (address === '') return { refused: 'invalid', why: 'the connection has no IPv4 address' };
    const host = taken.host;
    if (hosts.named(host)?.macs.includes(mac) !== true)
      return { refused: 'denied', why: 'this machine is not of this run any more' };
    const elsewhere = this.#otherSite(host, place);
    if (elsewhere !== undefined) {
      this.#warn(host, `a registration for ${mac} from ${peer} was refused: ${elsewhere}`);
      return { refused: 'denied', why: elsewhere };
    }
    const life = core.life(host);
    if (life?.bootId !== undefined && life.bootId !== request.bootId) {
      const alive = this.#world.alive?.(host) === true;
      // In the place of one that is not heard any more comes only what may be the same machine.
      if (alive || !this.#mayBe(host, place)) {
        if (!alive || !this.#twoClaim(host, mac, place))
          this.#warn(
            host,
            `a registration for ${mac} from ${peer} was refused: the machine at ${life.address} has registered as ${host}`,
          );
        return { refused: 'denied', why: `another machine claims ${mac} as well` };
      }
    }
    if (!(taken.verdict === 'again' && life?.bootId === request.bootId)) {
      const { sshHostKey, bootId, inventory } = request;
      const moved = core.happened(host, { kind: 'agent-registered', mac, address, sshHostKey, bootId });
      // Its token stays good: a machine whose run was cut off is still being built for.
      if (!moved.moved) return { refused: 'unavailable', why: moved.sentence };
      tokens.use(request.token, key, ticks());
      this.#world.tokensChanged?.();
      // The task that the move starts looks into it; it begins when all that is done here is done.
      this.#world.registrations.put(host, { bootId, mac, sshHostKey, inventory });
    }
    this.#haveKeys.add(request.bootId);
    this.#addresses.set(request.bootId, address);
    return {
      credential: makeCredential(this.#world.credentialSecret, {
        host,
        mac,
        bootId: request.bootId,
        agentKey: request.agentKey,
      }),
      host,
      authorizedKeys: [...this.#world.authorizedKeys],
      heartbeatMs,
    };
  }

  credential(text: string): Credential | undefined {
    return readCredential(this.#world.credentialSecret, text);
  }

  /**
   * Two machines say that they are this host, both with a token of its boot of now. Before anything is written both are stopped; afterwards the one
   * that began goes on. Whoever has read a script but hasn't the MAC can't be the machine, and stops nobody.
   * @returns whether the operator was told
   */
  #twoClaim(host: string, mac: Mac, place: Place): boolean {
    const life = this.#world.core.life(host);
    if (life === undefined || isEnd(life.stage) || !this.#mayBe(host, place)) return false;
    if (life.stage === 'registered' || life.stage === 'preflight') {
      const reason = `two machines claim ${mac}: one at ${life.address} and one at ${place.address}; nothing was written to either`;
      this.#world.core.happened(host, { kind: 'failed', reason });
    } else
      this.#warn(
        host,
        `a second machine at ${placeText(place)} claims ${mac}; the one at ${life.address} is being installed: make sure that it is yours`,
      );
    return true;
  }

  /**
   * Does the peer have a MAC of this machine, by the neighbour table? One that it registered with before counts, too. Beyond a router nobody sees
   * MACs: a peer there may be it when the machine itself is there.
   */
  #mayBe(host: string, place: Place): boolean {
    const { core, hosts, macAt, contradicts, registrations } = this.#world;
    if (this.#otherSite(host, place) !== undefined) return false;
    const { address } = place;
    const seen = place.relay !== undefined ? place.mac : address === '' ? undefined : macAt(address);
    const own = core.life(host)?.address;
    if (seen === 'foreign') {
      const entry = hosts.named(host);
      if (entry !== undefined && contradicts?.(entry, entry.macs, address) !== undefined) return false;
      return own !== undefined && macAt(own) === 'foreign';
    }
    if (seen === undefined) return false;
    if (hosts.named(host)?.macs.includes(seen) === true) return true;
    const nics = registrations.get(host)?.inventory.nics ?? [];
    return nics.some(({ mac, permanentMac }) => mac === seen || permanentMac === seen);
  }

  /** Why a machine that is seen there isn't this host: a relay speaks for the machines of its own networks, and for no other. */
  #otherSite(host: string, { relay }: Place): string | undefined {
    const own = this.#world.hosts.named(host)?.relay;
    if (own === relay) return undefined;
    return own === undefined ? 'this machine is behind no relay' : `this machine is behind ${own}`;
  }

  /** A relay has given a machine of its networks a boot script. Not believed of any other. */
  scriptServed(relay: string, { machine, mac, token, verdict, address, unixMs }: ScriptServed): void {
    const { core, hosts, tokens, ticks, now } = this.#world;
    const host = hosts.named(machine);
    if (host === undefined || host.relay !== relay || !host.macs.some((each) => each === mac)) return;
    const life = core.life(machine);
    if (verdict === 'installer-runs')
      this.#warn(
        machine,
        `${placeText({ relay, address })} asked for the boot script of ${mac} while its installer runs; it has to wait`,
      );
    if (verdict === 'crowded' && life !== undefined && offerIn(life.stage) === 'installer')
      this.#world.keptAway?.(host);
    // Without a token it was told to wait, or to boot its disk.
    const given = token !== '' && tokens.served(token, machine, ticks());
    if (given) this.#world.tokensChanged?.();
    // What waited for the uplink may be of a life before this one.
    const late = Math.abs(now() - Number(unixMs)) > loopWordMs;
    const tooMany = (verdict === 'loop' && !late) || (given && this.#boots.lately(machine, ticks()) >= mostBoots);
    if (tooMany && life !== undefined && offerIn(life.stage) === 'installer') {
      core.happened(machine, { kind: 'failed', reason: boots });
      return;
    }
    if (!given) return;
    this.#boots.add(machine, ticks());
    if (life !== undefined && !isEnd(life.stage) && moves[life.stage]['script-fetched'] !== undefined)
      core.happened(machine, { kind: 'script-fetched' });
  }

  /** A session of this boot goes on; one of an earlier life of the controller takes up its registration again. */
  session(host: string, about: { mac: string; bootId: string; place: Place }): Refused | undefined {
    const { core, registrations } = this.#world;
    const life = core.life(host);
    if (life === undefined) return { refused: 'denied', why: 'no machine of this run has this name' };
    // Its MAC may be another host's by now, or nobody's.
    const mac = parseMac(about.mac);
    if (mac === undefined || this.#world.hosts.named(host)?.macs.includes(mac) !== true)
      return { refused: 'denied', why: 'this machine is not of this run any more' };
    const elsewhere = this.#otherSite(host, about.place);
    if (elsewhere !== undefined) return { refused: 'denied', why: elsewhere };
    const { address } = about.place;
    if (address === '') return { refused: 'unavailable', why: 'the connection has no IPv4 address' };
    this.#addresses.set(about.bootId, address);
    if (life.bootId === about.bootId) return undefined;
    const kept = registrations.get(host);
    if (kept === undefined || kept.bootId !== about.bootId)
      return { refused: 'denied', why: 'this boot was never registered, or a newer one has been' };
    // The installer of a run that was cut off before the reboot, or of a machine that has ended here: it is heard, and stays as it is.
    if (life.bootId === undefined && (marked(life) || isEnd(life.stage))) return undefined;
    const moved = core.happened(host, { kind: 'agent-registered', ...registered(kept), address });
    return moved.moved ? undefined : { refused: 'unavailable', why: moved.sentence };
  }

  /** Those that a boot of an earlier life of the controller lacks: the key of a run is new in each. */
  keysFor(bootId: string): readonly string[] | undefined {
    return this.#haveKeys.has(bootId) ? undefined : this.#world.authorizedKeys;
  }

  keysGiven(bootId: string): void {
    this.#haveKeys.add(bootId);
  }

  /** The operator has it begin anew: what was counted of it is forgotten, and an agent that is still there takes up its registration again. */
  begunAnew(host: string, bootId: string | undefined): void {
    this.forget(host);
    const { core, hosts, registrations } = this.#world;
    const life = core.life(host);
    const kept = registrations.get(host);
    if (kept === undefined || hosts.named(host)?.macs.includes(kept.mac) !== true) return;
    if ((life?.stage !== 'waking' && life?.stage !== 'probing') || bootId !== kept.bootId || life.address !== undefined)
      return;
    const address = this.#addresses.get(kept.bootId);
    if (address !== undefined) core.happened(host, { kind: 'agent-registered', ...registered(kept), address });
  }

  /** What was counted of a host. */
  forget(host: string): void {
    this.#boots.forget(host);
  }

  /** Port numbers apart, the same stranger says the same thing. */
  #warn(host: string | undefined, text: string): void {
    this.#warnings.warn(text, host, `${host} ${text.replace(/:\d{4,5}\b/g, '')}`);
  }
}

function registered({ mac, sshHostKey, bootId }: KeptRegistration) {
  return { mac, sshHostKey, bootId };
}
