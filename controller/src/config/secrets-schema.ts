// `secrets` of a host in the hosts file: which values go where on the machine, and where they are read.
import * as z from 'zod';
import type { HostSecrets, SecretFile } from '../machine/host.ts';
import { parseSource, sourceAccepted, sourcePattern } from './secret-source.ts';

const accepted = (text: string) => ({ error: `accepted: ${text}` });

// nixos-anywhere hands the path to a shell on the machine without quotes: no character that means anything there.
const pathForm = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._+@:,=%-]+)+$/;
const pathAccepted =
  'an absolute path on the machine of letters, digits and . _ + @ : , = % - (no blanks, no "." or ".." as a part, no / at the end), at most 255 characters';
const path = z
  .string()
  .max(255, accepted(pathAccepted))
  .regex(pathForm, accepted(pathAccepted))
  .meta({ pattern: '^(/[A-Za-z0-9._+@:,=%-]+)+$' });

const source = z
  .string(accepted(sourceAccepted))
  .refine((word) => parseSource(word) !== undefined, accepted(sourceAccepted))
  .meta({
    pattern: sourcePattern,
    description:
      'file:PATH (byte by byte; relative to this file), command:PROGRAM ARGUMENT… (what it prints; quotes and backslashes as in a shell, nothing else), env:NAME, or prompt (asked when the run starts).',
  });

const modeAccepted = 'permission bits as text of three or four octal digits without setuid, like "0400"';
const ownerAccepted = 'numbers as UID:GID, like "1000:100"';
const fileAccepted = `${sourceAccepted}; or an object like {"source": "file:…", "mode": "0400", "owner": "0:0"}`;
const fileObject = z.strictObject({
  source,
  mode: z
    .string(accepted(modeAccepted))
    .regex(/^0?[0-7]{3}$/, accepted(modeAccepted))
    .meta({ description: 'Permission bits.', default: '0600' })
    .optional(),
  owner: z
    .string(accepted(ownerAccepted))
    // The highest number means "leave it" to chown(2).
    .refine(
      (word) => /^[0-9]{1,10}:[0-9]{1,10}$/.test(word) && word.split(':').every((id) => Number(id) < 2 ** 32 - 1),
      accepted(ownerAccepted),
    )
    .meta({ pattern: '^[0-9]{1,10}:[0-9]{1,10}$', description: 'UID:GID, in numbers.', default: '0:0' })
    .optional(),
});

/** What Nixie puts on every machine. */
const own = ['/etc/ssh/ssh_host_ed25519_key', '/etc/ssh/ssh_host_ed25519_key.pub', '/root/.ssh/authorized_keys'];
const treeAccepted = 'paths none of which lies below another one of them';
const ownAccepted = `paths other than ${own.join(', ')}: Nixie places these itself`;

const most = 32;
const someKeys = z
  .record(path, source, accepted('an object of paths and sources, like {"/tmp/disk.key": "file:disk.key"}'))
  .refine((keys) => Object.keys(keys).length <= most, accepted(`at most ${most} keys`))
  .meta({ description: 'Files on the installer, for disko: path there → source. Gone with its memory.' });
const someFiles = z
  .record(
    path,
    z.union([source, fileObject], accepted(fileAccepted)),
    accepted('an object of paths and sources, like {"/etc/secret": "file:secret"}'),
  )
  .refine((files) => Object.keys(files).length <= 8 * most, accepted(`at most ${8 * most} files`))
  .refine((files) => Object.keys(files).every((each) => !own.includes(each)), accepted(ownAccepted))
  .refine(
    (files) =>
      [...Object.keys(files), ...own].every((each, _, all) => !all.some((other) => other.startsWith(`${each}/`))),
    accepted(treeAccepted),
  )
  .meta({ description: 'Files on the installed system: path there → source, or source with mode and owner.' });

export const secretsSchema = z
  .strictObject(
    { disk_keys: someKeys.optional(), files: someFiles.optional() },
    accepted('an object with "disk_keys" or "files"'),
  )
  .meta({ description: 'Values that are handed to the machine during the install, and where they are read.' });

export type SecretsEntry = z.infer<typeof secretsSchema>;

/** The keys that may stand at a path that begins at `secrets`; undefined elsewhere. */
export function secretKeysAt(place: readonly (string | number)[]): readonly string[] | undefined {
  if (place[0] !== 'secrets') return undefined;
  return Object.keys(place.length === 1 ? secretsSchema.shape : fileObject.shape);
}

/** What was found, without its content. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return 'a text (not shown: it may be a secret)';
  if (value === null || typeof value !== 'object') return String(value === null ? 'null' : `a ${typeof value}`);
  return Array.isArray(value) ? 'an array' : `an object with ${Object.keys(value).length} entries`;
}

export function toSecrets(entry: SecretsEntry): HostSecrets {
  return {
    diskKeys: Object.entries(entry.disk_keys ?? {}).map(([there, word]) => ({
      path: there,
      source: parseSource(word)!,
    })),
    files: Object.entries(entry.files ?? {}).map(([there, given]): SecretFile => {
      const { source: word, mode = '0600', owner = '0:0' } = typeof given === 'string' ? { source: given } : given;
      const [uid, gid] = owner.split(':').map(Number);
      return { path: there, source: parseSource(word)!, mode: Number.parseInt(mode, 8), owner: `${uid}:${gid}` };
    }),
  };
}
