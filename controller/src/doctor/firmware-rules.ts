// Rules for what firmware does before iPXE runs: DHCP, port 4011, the loader.
import type { CauseId } from './causes.ts';
import { type Found, fileOf, type Look, often, times } from './look.ts';
import type { Entry } from './trail.ts';

/** Silences that have a reason of their own, if nothing else was ever answered. */
const silences: Readonly<Record<string, CauseId>> = {
  'not yet': 'not-ready',
  'dhcp is off': 'dhcp-off',
  'no loader': 'no-loader',
  'wrong architecture': 'wrong-architecture',
  'unknown architecture': 'unknown-architecture',
  'another network': 'relay-mismatch',
  'undeclared subnet': 'relay-undeclared',
  'too many hops': 'relay-mismatch',
  'unknown interface': 'relay-mismatch',
};

/** Firmware collects offers for four seconds before it goes on. */
const collectsSeconds = 10;

export function firmwareRules(look: Look): Found[] {
  if (look.phase === 0 || look.phase > 3) return [];
  return look.phase === 3 ? loader(look) : [...unsent(look), ...dhcp(look)];
}

function unsent(look: Look): Found[] {
  const shown = look.of('dhcp-unsent');
  if (shown.length === 0) return [];
  const [{ giaddr, detail = 'no reason' }] = shown as [Entry];
  if (giaddr !== undefined)
    return [{ id: 'relay-unreachable', says: `our answer to the relay ${giaddr} could not be sent: ${detail}`, shown }];
  return [{ id: 'reply-unsent', says: `our answer could not be sent: ${detail}`, shown }];
}

function dhcp(look: Look): Found[] {
  const asked = look.firmware();
  const answered = asked.filter(({ kind }) => kind === 'dhcp-answered');
  const refused = asked.find(({ kind, why }) => kind === 'dhcp-silent' && silences[why ?? ''] !== undefined);
  if (answered.length === 0)
    return refused === undefined
      ? []
      : [{ id: silences[refused.why!]!, says: `not answered: ${refused.why}${more(refused)}`, shown: [refused] }];
  const proxy = answered.some(({ why }) => why?.startsWith('proxy') === true);
  const requests = asked.filter((entry) => entry.asked === 'REQUEST' && entry.port !== 4011);
  if (requests.length === 0 && look.phase === 1) return withoutRequest(look, answered, proxy);
  return withRequest(look, asked, proxy);
}

/** It asked for an address and took none. */
function withoutRequest(look: Look, answered: readonly Entry[], proxy: boolean): Found[] {
  if (times(answered) < 2 && !look.quiet(collectsSeconds)) return [];
  const others = look.of('other-offer');
  if (look.otherBoots().length > 0) return [otherProxy(look, answered)];
  const asked = `it asked ${often(answered)} and took no address`;
  const relay = answered.find(({ giaddr }) => giaddr !== undefined)?.giaddr;
  if (!proxy && relay !== undefined)
    return [
      {
        id: 'relay-unreachable',
        says: `${asked}, although we offered one through the relay ${relay}`,
        shown: answered,
      },
    ];
  if (!proxy) return [{ id: 'offer-lost', says: `${asked}, although we offered one`, shown: answered }];
  if (others.length > 0) {
    const says = `it was offered an address by ${whose(others)} and a boot file by us, and took neither`;
    return [{ id: 'offer-ignored', says, shown: [...answered, ...others] }];
  }
  return [{ id: 'no-address', says: `${asked}: nobody was heard to offer one${look.deaf}`, shown: answered }];
}

/** It took an address, from us or another, and never asked for its loader. */
function withRequest(look: Look, asked: readonly Entry[], proxy: boolean): Found[] {
  const elsewhere = asked.filter(({ why }) => why === 'another server was chosen');
  const atBootServer = asked.filter(({ port, kind }) => port === 4011 && kind === 'dhcp-answered');
  if (times(atBootServer) >= 2) {
    const says = `it asked port 4011 ${often(atBootServer)} and never for ${fileOf(atBootServer[0])}`;
    return [{ id: 'boot-server-answer-lost', says, shown: atBootServer }];
  }
  if (!look.quiet(collectsSeconds) && times(elsewhere) < 2) return [];
  if (look.otherBoots().length > 0) return [otherProxy(look, asked)];
  if (!proxy && elsewhere.length > 0 && atBootServer.length === 0) {
    const says = `it took the address of ${servers(elsewhere)} instead of ours`;
    return [{ id: 'other-dhcp-server', says, shown: asked }];
  }
  const told = asked.findLast(({ kind, detail }) => kind === 'dhcp-answered' && detail !== undefined);
  if (asked.some(({ client }) => client === 'http'))
    return [
      { id: 'http-boot-not-asked', says: `it was told ${told?.detail ?? 'a URL'} and fetched nothing`, shown: asked },
    ];
  if (atBootServer.length === 0 && elsewhere.length > 0) {
    const says = `it took an address from ${servers(elsewhere)} and never came for its boot file${look.deaf}`;
    return [{ id: 'offer-ignored', says, shown: asked }];
  }
  return [
    {
      id: 'loader-not-asked',
      says: `it was told ${told?.detail ?? 'a boot file'} and never asked for it`,
      shown: asked,
    },
  ];
}

export function otherProxy(look: Look, asked: readonly Entry[]): Found {
  const others = look.otherBoots();
  const says = `offer sent, but no request for our boot file: another boot server answered first, seen from ${whose(others)}`;
  return { id: 'other-proxy', says, shown: [...asked, ...others] };
}

function loader(look: Look): Found[] {
  const sent = [...look.of('tftp-sent'), ...look.of('http-file')];
  const lossy = look.of('tftp-sent').filter(({ again = 0, total = 0 }) => again > 0.1 * total);
  const loss: Found[] =
    lossy.length === 0
      ? []
      : [{ id: 'tftp-loss', says: `of ${lossy[0]!.total} blocks ${lossy[0]!.again} were sent again`, shown: lossy }];
  if (sent.length > 0) {
    if (!look.quiet(60)) return loss;
    const says = `${fileOf(sent[0])} was sent whole, and no iPXE asked for anything since`;
    return [{ id: 'loader-silent', says, shown: sent }, ...loss];
  }
  const stopped = look.of('tftp-stopped', 'tftp-resending').findLast(({ why }) => why !== 'closed');
  if (stopped !== undefined) return [stop(stopped)];
  const probed = look.of('tftp-probed');
  if (probed.length > 0 && times(look.of('tftp-started')) <= times(probed) && look.quiet(collectsSeconds))
    return [
      { id: 'tftp-size-only', says: `it asked for the size ${often(probed)} and never for the file`, shown: probed },
    ];
  // autoexec.ipxe is asked for by every new iPXE, and need not be there.
  const refused = look.of('tftp-refused').filter(({ detail }) => !/autoexec\.ipxe$/.test(detail ?? ''));
  const busy = refused.filter(({ why }) => why === 'busy');
  if (busy.length > 0) return [{ id: 'tftp-busy', says: `refused ${often(busy)}: too many transfers`, shown: busy }];
  const unknown = refused.filter(({ why }) => why === 'unknown-name');
  if (unknown.length > 0)
    return [
      { id: 'tftp-other-file', says: `it asked for ${unknown[0]!.detail}, which nixie does not name`, shown: unknown },
    ];
  return [];
}

function stop(entry: Entry): Found {
  const { done = 0, blockSize = 512, again = 0, why } = entry;
  const shown = [entry];
  const file = fileOf(entry);
  const sent = again === 0 ? 'sent once' : `sent ${again + 1} times`;
  if (done < 0)
    return { id: 'tftp-unanswered', says: `${file}: the first answer was ${sent}, none was acknowledged`, shown };
  if (done === 0 && again >= 2)
    return blockSize > 512
      ? { id: 'tftp-mtu', says: `${file}: block 1 was ${sent} at ${blockSize} bytes and never acknowledged`, shown }
      : { id: 'tftp-unanswered', says: `${file}: block 1 was ${sent}, none was acknowledged`, shown };
  if (why === 'aborted' || why === 'malformed')
    return { id: 'tftp-aborted', says: `${file}: stopped by the machine after ${done} blocks${more(entry)}`, shown };
  return { id: 'tftp-loss', says: `${file}: block ${done + 1} was ${sent} and never acknowledged`, shown };
}

const more = ({ detail }: Entry): string => (detail === undefined ? '' : ` (${detail})`);

function servers(entries: readonly Entry[]): string {
  const named = [...new Set(entries.flatMap(({ server }) => server ?? []))];
  return named.length === 0 ? 'another server' : named.join(', ');
}

export function whose(offers: readonly Entry[]): string {
  return offers.length === 0 ? 'nobody' : servers(offers);
}
