// An explanation as text for people and as JSON values, one for each packet.
import type { DhcpDecision } from '../answer/dhcp.ts';
import { classify } from '../answer/firmware.ts';
import { optionName, optionShape } from '../wire/dhcp4/names.ts';
import { code, readMessageType } from '../wire/dhcp4/options.ts';
import { type DhcpPacket, option } from '../wire/dhcp4/packet.ts';
import { printDhcp } from '../wire/dhcp4/print.ts';
import { hexText, printValue } from '../wire/dhcp4/shapes.ts';
import type { ExplainedPacket, Explanation } from './explain.ts';
import { printTftp } from './tftp-text.ts';

/** Runs of data and acknowledgements longer than this are summed up. */
const runShown = 6;

const indent = (lines: readonly string[]): string[] => lines.map((line) => `    ${line}`);

/** `DISCOVER of 52:54:00:77:00:01, pxe x64`. */
function dhcpTitle(packet: DhcpPacket): string {
  const type = readMessageType(option(packet, code.messageType) ?? new Uint8Array()) ?? 'BOOTP';
  const hardware = Array.from(packet.chaddr.subarray(0, packet.hlen), (octet) =>
    octet.toString(16).padStart(2, '0'),
  ).join(':');
  if (packet.op !== 1) return `${type} to ${hardware || '-'}`;
  const client = classify(packet);
  return `${type} of ${hardware || '-'}, ${client.kind}${client.platform === undefined ? '' : ` ${client.platform}`}`;
}

function heading(each: ExplainedPacket): string {
  const time = each.seconds === undefined ? '' : `  ${each.seconds.toFixed(3)} s`;
  const way =
    each.from && each.to ? `  ${each.from.address}:${each.from.port} > ${each.to.address}:${each.to.port}` : '';
  const vlan = each.vlans ? `  vlan ${each.vlans.join('.')}` : '';
  const note = each.note === undefined ? '' : `  [${each.note.replace(/[^ -~]/g, '?')}]`;
  return `#${each.number}${time}${way}${vlan}  ${title(each)}${note}`;
}

function title(each: ExplainedPacket): string {
  if (each.kind === 'dhcp') return `DHCP ${dhcpTitle(each.packet)}`;
  if (each.kind === 'tftp') return `TFTP ${printTftp(each.packet)}`;
  if (each.kind === 'malformed') return each.text;
  return `${each.kind}: ${each.text}`;
}

function answerLines(decision: DhcpDecision): string[] {
  const { relay } = decision;
  const about = [
    decision.machine ?? [],
    relay === undefined ? [] : `beyond ${relay.address}`,
    relay === undefined ? [] : relay.subnet === undefined ? 'in no declared subnet' : `subnet ${relay.subnet}`,
  ].flat();
  const machine = about.length === 0 ? '' : ` (${about.join(', ')})`;
  if (decision.kind === 'silence') {
    return [
      `  Nixie${machine}: silence, ${decision.why}${decision.detail === undefined ? '' : `: ${decision.detail}`}`,
    ];
  }
  const file = decision.file === undefined ? '' : `, boot file ${decision.file}`;
  return [
    `  Nixie${machine}: ${decision.why}, to ${decision.to.address}:${decision.to.port}${file}`,
    ...indent(printDhcp(decision.packet)),
  ];
}

function packetLines(each: ExplainedPacket): string[] {
  const lines = [heading(each)];
  if (each.kind === 'dhcp') {
    lines.push(...indent(printDhcp(each.packet)));
    if (!each.printsBack) lines.push('  what is printed here does not lead back to the same message');
    if (each.decision) lines.push(...answerLines(each.decision));
  }
  if (each.kind === 'tftp' && each.answer !== undefined) lines.push(`  Nixie: ${each.answer}`);
  return lines;
}

/** Of which kind of run it may be part. */
function bulkOf(each: ExplainedPacket | undefined): 'transfer' | 'fragments' | undefined {
  if (each?.kind === 'fragment') return 'fragments';
  return each?.kind === 'tftp' && (each.packet.op === 'data' || each.packet.op === 'ack') ? 'transfer' : undefined;
}

function runLine(run: readonly ExplainedPacket[]): string {
  const span = `#${run[0]!.number} to #${run.at(-1)!.number}`;
  if (bulkOf(run[0]) === 'fragments') return `${span}  ${run.length} fragments of IPv4 datagrams`;
  const octets = run.reduce(
    (sum, each) => sum + (each.kind === 'tftp' && each.packet.op === 'data' ? each.packet.data.length : 0),
    0,
  );
  return `${span}  TFTP ${run.length} DATA and ACK packets, ${octets} octets of data`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function summary(explanation: Explanation, failures: number): string {
  const dhcp = explanation.packets.filter((each) => each.kind === 'dhcp');
  const tftp = explanation.packets.filter((each) => each.kind === 'tftp').length;
  const answered = dhcp.filter((each) => each.decision?.kind === 'reply').length;
  const asked = dhcp.filter((each) => each.decision !== undefined).length;
  const back = dhcp.filter((each) => each.printsBack).length;
  const others = explanation.others > 0 ? `, ${count(explanation.others, 'frame')} of other protocols` : '';
  return (
    `${count(dhcp.length, 'DHCP packet')} (${back} printed and read back the same), ${count(tftp, 'TFTP packet')}${others}; ` +
    `Nixie would answer ${answered} of ${count(asked, 'DHCP request')}; ${failures === 0 ? 'all decoded' : count(failures, 'failure')}`
  );
}

export function renderText(explanation: Explanation, failures: number): string {
  const blocks: string[] = [];
  if (explanation.assumptions.length > 0) blocks.push(`assumed: ${explanation.assumptions.join('; ')}`);
  const { packets } = explanation;
  let at = 0;
  while (at < packets.length) {
    let end = at;
    const bulk = bulkOf(packets[at]);
    while (bulk !== undefined && bulkOf(packets[end]) === bulk) end += 1;
    if (end - at > runShown) {
      blocks.push(runLine(packets.slice(at, end)));
      at = end;
    } else {
      blocks.push(packetLines(packets[at]!).join('\n'));
      at += 1;
    }
  }
  for (const text of explanation.damage) blocks.push(`damaged: ${text}`);
  blocks.push(summary(explanation, failures));
  return `${blocks.join('\n\n')}\n`;
}

function packetJson(packet: DhcpPacket): object {
  return {
    op: packet.op,
    htype: packet.htype,
    hlen: packet.hlen,
    hops: packet.hops,
    xid: packet.xid.toString(16).padStart(8, '0'),
    secs: packet.secs,
    flags: packet.flags.toString(16).padStart(4, '0'),
    ciaddr: packet.ciaddr,
    yiaddr: packet.yiaddr,
    siaddr: packet.siaddr,
    giaddr: packet.giaddr,
    chaddr: hexText(packet.chaddr.subarray(0, packet.hlen)),
    text: printDhcp(packet),
    options: packet.options.map(([number, value]) => ({
      code: number,
      name: optionName(number),
      value: printValue(optionShape(number), value),
      hex: hexText(value),
    })),
  };
}

function decisionJson(decision: DhcpDecision): object {
  return decision.kind === 'reply' ? { ...decision, packet: packetJson(decision.packet) } : decision;
}

/** One object a packet; damage of the file follows as objects of kind `damaged` without a number. */
export function renderJson(explanation: Explanation): unknown[] {
  const packets = explanation.packets.map((each) => {
    const { kind, number, seconds, note, vlans, from, to } = each;
    const place = { number, kind, seconds, note, vlans, from, to };
    if (each.kind === 'dhcp') {
      const decision = each.decision && decisionJson(each.decision);
      return {
        ...place,
        title: dhcpTitle(each.packet),
        packet: packetJson(each.packet),
        prints_back: each.printsBack,
        decision,
      };
    }
    if (each.kind === 'tftp') return { ...place, title: printTftp(each.packet), answer: each.answer };
    return { ...place, text: each.text, ...(each.kind === 'malformed' ? { protocol: each.protocol } : {}) };
  });
  return [
    ...explanation.assumptions.map((text) => ({ kind: 'assumption', text })),
    ...packets,
    ...explanation.damage.map((text) => ({ kind: 'damaged', text })),
  ];
}
