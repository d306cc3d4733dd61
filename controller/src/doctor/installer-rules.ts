// Rules from iPXE to the agent: address, script, kernel, initrd, registration.
import { otherProxy } from './firmware-rules.ts';
import { type Found, type Look, often, times } from './look.ts';
import type { Entry } from './trail.ts';

const ipxePhase = 4;

export function installerRules(look: Look): Found[] {
  if (look.phase < ipxePhase) return [];
  const refused = look.of('agent-refused');
  // Whatever came before: it was here.
  if (refused.length > 0 && look.of('agent-registered', 'agent-up').length === 0) return [refusal(refused)];
  const scripts = look.trail.entries.filter(({ kind, attempt }) => kind === 'http-script' && attempt > look.agentAt);
  const loop = loops(look, scripts);
  if (look.of('http-script').length === 0) return [...loop, ...beforeScript(look)];
  return [...loop, ...afterScript(look)];
}

function refusal(refused: readonly Entry[]): Found {
  const { detail = '' } = refused.at(-1)!;
  const id = /another machine claims/.test(detail) ? 'two-machines' : 'agent-refused';
  return { id, says: `its agent was refused ${often(refused)}: ${detail}`, shown: refused };
}

function loops(look: Look, scripts: readonly Entry[]): Found[] {
  if (times(scripts) < 3 || look.agentSeen()) return [];
  return [
    {
      id: 'boot-loop',
      says: `its boot script was fetched ${often(scripts)}, and its agent never came`,
      shown: scripts,
    },
  ];
}

function beforeScript(look: Look): Found[] {
  const refused = look.of('http-refused').filter(({ why }) => why === 'script-refused');
  if (refused.length > 0)
    return [
      { id: 'script-refused', says: `its boot script was asked for and refused ${often(refused)}`, shown: refused },
    ];
  const asked = look.ipxe();
  const answered = asked.filter(({ kind }) => kind === 'dhcp-answered');
  if (answered.length === 0) return [];
  const requests = asked.filter((entry) => entry.asked === 'REQUEST');
  if (times(answered) < 2 && !look.quiet(20)) return [];
  if (look.otherBoots().length > 0 && look.quiet(20)) return [otherProxy(look, asked)];
  if (requests.length === 0)
    return [
      { id: 'ipxe-no-address', says: `iPXE asked ${often(answered)} and took no address${look.deaf}`, shown: asked },
    ];
  if (!look.quiet(20)) return [];
  return [{ id: 'script-not-fetched', says: 'iPXE took an address and never fetched its boot script', shown: asked }];
}

function afterScript(look: Look): Found[] {
  const unknown = look
    .of('http-refused')
    .filter(({ why, detail }) => why === 'unknown-path' && detail?.startsWith('/f/'));
  if (unknown.length > 0)
    return [{ id: 'file-unknown', says: `it asked ${often(unknown)} for a file that is not served`, shown: unknown }];
  const sent = look.of('file-sent');
  const isSent = ({ detail }: Entry) => sent.some((entry) => entry.detail === detail);
  const cut = look.of('file-cut').filter((entry) => !isSent(entry));
  if (cut.length > 0) {
    const { detail, done = 0, total = 0 } = cut.at(-1)!;
    return [{ id: 'download-cut', says: `${detail} was cut off after ${done} of ${total} bytes`, shown: cut }];
  }
  const sending = look.of('file-sending').filter((entry) => !isSent(entry));
  if (sending.length > 0) {
    const { detail, done = 0, total = 0 } = sending.at(-1)!;
    if (!look.quiet(30)) return [];
    return [{ id: 'download-stalled', says: `${detail} stands still at ${done} of ${total} bytes`, shown: sending }];
  }
  if (sent.length === 0) {
    if (!look.quiet(20)) return [];
    const shown = look.of('http-script');
    return [{ id: 'kernel-not-fetched', says: 'it fetched its boot script and never the kernel', shown }];
  }
  return agent(look, sent);
}

function agent(look: Look, sent: readonly Entry[]): Found[] {
  if (look.agentSeen()) return [];
  const sentAt = Math.max(...sent.map(({ last }) => last));
  const own = look.system().filter(({ last }) => last >= sentAt);
  const seconds = Math.round((look.now - sentAt) / 1000);
  if (own.length > 0) {
    if (!look.quiet(60)) return [];
    const says = `the installer asked for an address, and its agent was not heard for ${seconds} s`;
    return [{ id: 'agent-cannot-reach', says, shown: [...sent, ...own] }];
  }
  if (!look.quiet(180)) return [];
  const names = sent.map(({ detail }) => detail).join(' and ');
  return [{ id: 'agent-silent', says: `${names} sent, nothing heard for ${seconds} s`, shown: sent }];
}
