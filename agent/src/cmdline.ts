// The words that the boot script left for the agent on the kernel's command line.

/** What the command line says, as far as it is well formed. */
export interface BootWords {
  /** `IP:port`, in order of preference. */
  readonly controllers: readonly string[];
  /** SHA-256 of the controller's DER certificate, 64 lower-case hex digits. */
  readonly fingerprint?: string;
  readonly token?: string;
  /** Lower case with colons. */
  readonly mac?: string;
  /** The card the firmware booted from, lower case with colons. */
  readonly bootMac?: string;
  /** SHA-256 of the manifest of the image that the boot stage fetches, 64 lower-case hex digits. */
  readonly image?: string;
  /** What to do when the controller goes on refusing: `reboot` (default) or `wait`. */
  readonly refused?: 'reboot' | 'wait';
  /** Words that were there but malformed; none of them is used. */
  readonly problems: readonly string[];
}

/**
 * Splits as the kernel does: blanks separate, double quotes keep blanks together, anywhere in a word. Words that others append
 * (`initrd=` by the UEFI stub, `\initrd`, a trailing NUL or newline) do no harm.
 */
export function splitCommandLine(text: string): string[] {
  const words: string[] = [];
  let word = '';
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    else if (!quoted && /[\s\0]/.test(char)) {
      if (word) words.push(word);
      word = '';
    } else word += char;
  }
  if (word) words.push(word);
  return words;
}

/** `aa:bb:…` from colons, dashes or none; undefined for anything else. */
export function readMac(text: string): string | undefined {
  const digits = text.toLowerCase().replace(/[:.-]/g, '');
  if (!/^[0-9a-f]{12}$/.test(digits)) return undefined;
  return digits.replace(/(..)(?!$)/g, '$1:');
}

/** `host:port` or `[v6]:port`; the port may be left out. Undefined when it is neither. */
export function readEndpoint(text: string, defaultPort = 7481): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-f:.%a-z]+)\]|([0-9a-z.-]+))(?::(\d{1,5}))?$/i.exec(text);
  if (!match) return undefined;
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port < 1 || port > 65535) return undefined;
  return { host: (match[1] ?? match[2])!, port };
}

/** Reads the words; the last well-formed one of a kind wins, as with the kernel's own parameters. */
export function readBootWords(text: string): BootWords {
  const problems: string[] = [];
  const words: { -readonly [K in keyof BootWords]: BootWords[K] } = { controllers: [], problems };
  const bad = (name: string, want: string): void => {
    problems.push(`${name}= is malformed, want ${want}`);
  };
  for (const word of splitCommandLine(text)) {
    const equals = word.indexOf('=');
    if (equals < 0) continue;
    const name = word.slice(0, equals);
    const value = word.slice(equals + 1);
    switch (name) {
      case 'nixie.controller': {
        const list = value.split(',').filter(Boolean);
        if (list.length === 0 || list.length > 8 || !list.every((entry) => readEndpoint(entry)))
          bad(name, 'IP:port, or several with commas');
        else words.controllers = list;
        break;
      }
      case 'nixie.fingerprint': {
        const hex = value.toLowerCase().replace(/:/g, '');
        if (/^[0-9a-f]{64}$/.test(hex)) words.fingerprint = hex;
        else bad(name, '64 hex digits');
        break;
      }
      case 'nixie.token':
        if (/^[0-9a-f]{32}$/i.test(value)) words.token = value.toLowerCase();
        else bad(name, '32 hex digits');
        break;
      case 'nixie.mac': {
        const mac = readMac(value);
        if (mac) words.mac = mac;
        else bad(name, 'aa:bb:cc:dd:ee:ff');
        break;
      }
      case 'nixie.image':
        if (/^[0-9a-f]{64}$/i.test(value)) words.image = value.toLowerCase();
        else bad(name, '64 hex digits');
        break;
      case 'nixie.refused':
        if (value === 'reboot' || value === 'wait') words.refused = value;
        else bad(name, 'reboot or wait');
        break;
      case 'BOOTIF': {
        // Hardware type, then the address: 01-aa-bb-cc-dd-ee-ff (pxelinux, iPXE ${mac:hexhyp}).
        const mac = readMac(value.replace(/^[0-9a-f]{2}[:-](?=(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}$)/i, ''));
        if (mac) words.bootMac = mac;
        else bad(name, '01-aa-bb-cc-dd-ee-ff');
        break;
      }
    }
  }
  return words;
}

/** The command line for the inventory: the one-time token is taken out. */
export function withoutSecrets(text: string): string {
  const shown = text.replace(/(nixie\.token=)[^\s\0"]*/g, '$1…');
  let end = shown.length;
  while (end > 0 && /[\s\0]/.test(shown[end - 1]!)) end -= 1;
  return shown.slice(0, end);
}
