// Why a phase failed: known texts and ends → one word of a closed set and a sentence for the operator. Pure.
// A status alone says little (1 is nix, an abort of the script, or the remote command), so the step and the texts decide.
import type { Phase, Step } from './plan.ts';

export type FailureCause =
  | 'other-machine' // the host key at that address is not the one that was registered
  | 'login-refused'
  | 'unreachable'
  | 'connection-lost'
  | 'image-incomplete' // the installer image lacks a program that nixos-anywhere asks for
  | 'disk-missing'
  | 'disk-busy' // /mnt or a disk is still held by an earlier attempt
  | 'no-space'
  | 'path-missing' // a store path is not there (any more)
  | 'copy-failed'
  | 'disko-failed'
  | 'install-failed'
  | 'never-rebooted'
  | 'too-slow' // a step's deadline passed
  | 'silent' // a copy said nothing for too long
  | 'canceled'
  | 'not-started' // nixos-anywhere could not be started
  | 'broken'; // ended in a way that none of the above explains

/** What a line shows for certain or gives as a hint. */
type Sign =
  | 'host-key'
  | 'denied'
  | 'unreachable'
  | 'lost'
  | 'incomplete'
  | 'disk-missing'
  | 'busy'
  | 'space'
  | 'path'
  | 'copy';

const signs: readonly (readonly [RegExp, Sign])[] = [
  [/REMOTE HOST IDENTIFICATION HAS CHANGED/, 'host-key'],
  [/^Host key verification failed\./, 'host-key'],
  [/Permission denied \(/, 'denied'],
  [/Too many authentication failures/, 'denied'],
  [/No space left on device/, 'space'],
  [/target is busy|is mounted|is apparently in use|Device or resource busy/, 'busy'],
  [/^aborted: (?:no \S+ command found|no \S+ found|Failed to retrieve fact)/, 'incomplete'],
  [
    /Problem opening \S+ for reading! Error is 2\.|device \S+ does not exist|\/dev\/\S+: .*No such file or directory/,
    'disk-missing',
  ],
  [/path '\/nix\/store\/[^']+' (?:is not valid|does not exist)|error: getting status of '\/nix\/store/, 'path'],
  [/No route to host|Connection timed out|Connection refused|Network is unreachable|Host is down/, 'unreachable'],
  [
    /closed by remote host|Connection reset by|Timeout, server .* not responding|Broken pipe|client_loop: send disconnect/,
    'lost',
  ],
  [/^error: /, 'copy'],
];

/** Two refused logins: one may be the shell of ssh-copy-id trying keys in the wrong order, two are a loop without end. */
const certainDenials = 2;

/** Ask one watch for one child; it remembers what was said in the step under way. */
export interface CauseWatch {
  /** Looks at one line; returns the cause when it is certain, so that waiting longer is useless. */
  read(text: string, step: Step): FailureCause | undefined;
  /** The login that its ssh shared has ended, with these words. */
  lost(text: string): void;
  /** After the end of the child. */
  explain(end: ChildEnd): { readonly cause: FailureCause; readonly sentence: string };
}

/** How the child ended, or why we ended it. */
export type ChildEnd =
  | { readonly kind: 'status'; readonly status: number; readonly step: Step }
  | { readonly kind: 'signal'; readonly signal: string; readonly step: Step }
  | { readonly kind: 'certain'; readonly cause: FailureCause; readonly step: Step }
  | { readonly kind: 'deadline'; readonly limitMs: number; readonly step: Step }
  | { readonly kind: 'silent'; readonly limitMs: number; readonly step: Step }
  | { readonly kind: 'canceled'; readonly step: Step }
  | { readonly kind: 'not-started'; readonly message: string };

/** What the texts of one phase of one host say. `address` is for the sentences. */
export function watchCause(host: string, address: string, phase: Phase): CauseWatch {
  // Of the step under way only: a lost connection in the loop of `keys` explains nothing that happens later.
  const seen = new Map<Sign, string>();
  let seenIn: Step = 'start';
  let denials = 0;

  const signOf = (text: string): Sign | undefined => signs.find(([pattern]) => pattern.test(text))?.[1];
  const quote = (sign: Sign): string => seen.get(sign) ?? '';

  const fromTexts = (step: Step): FailureCause | undefined => {
    if (seen.has('host-key')) return 'other-machine';
    if (seen.has('incomplete')) return 'image-incomplete';
    if (seen.has('denied') && (step === 'keys' || step === 'facts')) return 'login-refused';
    if (seen.has('unreachable') && step === 'keys') return 'unreachable';
    if (step === 'disko' && seen.has('busy')) return 'disk-busy';
    if (step === 'disko' && seen.has('disk-missing')) return 'disk-missing';
    if (seen.has('space')) return 'no-space';
    if (seen.has('lost') || seen.has('unreachable')) return 'connection-lost';
    if (seen.has('path')) return 'path-missing';
    return undefined;
  };
  const fromStatus = (status: number, step: Step): FailureCause => {
    if (step === 'disko') return 'disko-failed';
    if (step === 'install') return 'install-failed';
    if (step === 'copy' || step === 'upload' || step === 'extra-files' || (step === 'facts' && seen.has('copy')))
      return 'copy-failed';
    // Only ssh itself ends so outside of a remote command.
    if (status === 255) return 'connection-lost';
    if (step === 'start' && status === 1) return 'path-missing';
    return 'broken';
  };
  const causeOf = (end: ChildEnd): FailureCause => {
    switch (end.kind) {
      case 'certain':
        return end.cause;
      case 'canceled':
        return 'canceled';
      case 'not-started':
        return 'not-started';
      case 'deadline':
        if (end.step === 'waiting') return 'never-rebooted';
        if (end.step === 'keys') return fromTexts('keys') ?? 'unreachable';
        return 'too-slow';
      case 'silent':
        return 'silent';
      case 'signal':
        return 'broken';
      case 'status':
        // What sh says of a program that it can't start.
        if (end.step === 'start' && (end.status === 126 || end.status === 127)) return 'not-started';
        return end.status === 0 ? 'broken' : (fromTexts(end.step) ?? fromStatus(end.status, end.step));
    }
  };

  return {
    read(text, step) {
      if (step !== seenIn) {
        seenIn = step;
        seen.clear();
      }
      const sign = signOf(text);
      if (sign === undefined) return undefined;
      if (!seen.has(sign)) seen.set(sign, text.trim());
      if (sign === 'host-key') return 'other-machine';
      if (sign === 'denied' && step === 'keys' && ++denials >= certainDenials) return 'login-refused';
      return undefined;
    },
    lost(text) {
      if (!seen.has('lost')) seen.set('lost', text);
    },
    explain(end) {
      const cause = causeOf(end);
      return { cause, sentence: sentence(cause, end, { host, address, phase, quote }) };
    },
  };
}

interface Told {
  readonly host: string;
  readonly address: string;
  readonly phase: Phase;
  readonly quote: (sign: Sign) => string;
}

function sentence(cause: FailureCause, end: ChildEnd, told: Told): string {
  const { address, quote } = told;
  const step = end.kind === 'not-started' ? 'start' : end.step;
  const said = (sign: Sign) => (quote(sign) === '' ? '' : `: ${quote(sign)}`);
  const how =
    end.kind === 'status'
      ? `status ${end.status}`
      : end.kind === 'signal'
        ? `ended by ${end.signal}`
        : `in step ${step}`;
  switch (cause) {
    case 'other-machine':
      return `another machine answers at ${address}: its SSH host key is not the one that ${told.host}'s agent registered; nothing was sent to it`;
    case 'login-refused':
      return `${address} refuses the key of this run: the installer image does not put the keys of the registration into root's authorized_keys${said('denied')}`;
    case 'unreachable':
      return `no SSH answer from ${address}${said('unreachable')}`;
    case 'connection-lost':
      return `the SSH connection to ${address} was lost in step ${step}${said('lost') || said('unreachable')}`;
    case 'image-incomplete':
      return `the installer image lacks what nixos-anywhere needs${said('incomplete')}`;
    case 'disk-missing':
      return `disko did not find a disk that the configuration names${said('disk-missing')}`;
    case 'disk-busy':
      return `a disk or /mnt is still in use on ${address}${said('busy')}`;
    case 'no-space':
      return `no space left ${step === 'upload' || step === 'facts' ? "in the installer's memory" : 'on the new disk'}${said('space')}`;
    case 'path-missing':
      return `a store path of this run is missing or not valid${said('path')}`;
    case 'copy-failed':
      return `copying to ${address} failed in step ${step} (${how})${said('copy')}`;
    case 'disko-failed':
      return `the disko script failed (${how})`;
    case 'install-failed':
      return `nixos-install failed (${how})${said('copy')}`;
    case 'never-rebooted':
      return `${address} took the reboot command but still answers after ${seconds(end)}`;
    case 'too-slow':
      return `step ${step} took longer than ${seconds(end)}`;
    case 'silent':
      return `step ${step} said nothing for ${seconds(end)}`;
    case 'canceled':
      return `canceled in step ${step}`;
    case 'not-started':
      return `start nixos-anywhere: ${end.kind === 'not-started' ? end.message : how}`;
    case 'broken':
      return `nixos-anywhere ended unexpectedly in step ${step} (${how})`;
  }
}

function seconds(end: ChildEnd): string {
  return 'limitMs' in end ? `${Math.round(end.limitMs / 1000)} s` : 'its time';
}
