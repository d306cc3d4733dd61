// The shape of the hosts file: the validator and, made from it, the JSON Schema for editors. What concerns several hosts is in hosts.ts.
import * as z from 'zod';
import { parseMac } from '../machine/mac.ts';
import { relayNameAccepted, relayNamePattern } from '../machine/relay.ts';
import { ipv4Pattern, isHostIpv4, parseIpv4 } from './ipv4.ts';
import { secretsSchema } from './secrets-schema.ts';
import { parseSize, sizePattern } from './sizes.ts';
import { subnetsSchema } from './subnets-schema.ts';

const macForm = '([0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}[.:-][0-9A-Fa-f]{4}[.:-][0-9A-Fa-f]{4}';
/** Wider than parseMac (which also wants one kind of separator): JSON Schema is for editors, the validator decides. */
export const macPattern = `^(${macForm}|[0-9A-Fa-f]{6}[:-][0-9A-Fa-f]{6})$`;

/** A machine's name; also what `--only` and file names are made of. */
export const namePattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';
export const nameAccepted =
  'a name of 1 to 63 letters, digits, ".", "_" and "-" that begins with a letter or digit, as in nixosConfigurations';

// What iPXE or the kernel could take for more than a word (`$`, `&`, `|`, `;`, quotes, space) isn't among them.
const bootPattern = '^[A-Za-z0-9][A-Za-z0-9._:,=/@+%~-]{0,254}$';
/** Words that Nixie gives itself; a second one would win or confuse. */
const ownWords = /^(?:nixie\.|BOOTIF=|initrd=|init=)/;

/** `error` becomes the message, word for word; hosts.ts puts what was found before it. */
const accepted = (text: string) => ({ error: `accepted: ${text}` });
const text = (what: string, pattern: string, description: string) =>
  z.string(accepted(what)).regex(new RegExp(pattern), accepted(what)).meta({ description });

const macAccepted =
  'the address of one network card as aa:bb:cc:dd:ee:ff, aa-bb-cc-dd-ee-ff, aabb.ccdd.eeff, aabb:ccdd:eeff, aabbcc-ddeeff or aabbccddeeff, upper or lower case; not all zero, no group address';
const mac = z
  .string(accepted(macAccepted))
  .refine((word) => parseMac(word) !== undefined, accepted(macAccepted))
  .meta({ pattern: macPattern, description: 'MAC address of a network card; six spellings, either case.' });

const sizeAccepted = 'bytes as a whole number above 0, or text like "400G", "1.5TB" (powers of 1000) or "372GiB"';
const size = (description: string) =>
  z
    .union(
      [
        z.int(accepted(sizeAccepted)).positive(accepted(sizeAccepted)),
        z
          .string()
          .refine((word) => parseSize(word) !== undefined, accepted(sizeAccepted))
          .meta({ pattern: sizePattern }),
      ],
      accepted(sizeAccepted),
    )
    .meta({ description });

const diskText = (what: string) => text(what, '^[!-~]([ -~]{0,126}[!-~])?$', `${what}, as the inventory shows it.`);
const flag = (description: string) => z.boolean(accepted('true or false')).meta({ description });

const diskAccepted =
  'an object with at least one of "serial", "wwn", "min_size", "max_size", "rotational", "count" (min_size not above max_size)';
const bytes = (given: string | number | undefined) => (typeof given === 'string' ? parseSize(given) : given);
const countAccepted = 'a number of disks from 1 to 256';
const disk = z
  .strictObject(
    {
      serial: diskText('serial number of the disk').optional(),
      wwn: diskText('World Wide Name of the disk').optional(),
      min_size: size('The disk has at least this size.').optional(),
      max_size: size('The disk has at most this size.').optional(),
      rotational: flag('true: a disk with platters; false: a solid-state disk.').optional(),
      count: z
        .int(accepted(countAccepted))
        .min(1, accepted(countAccepted))
        .max(256, accepted(countAccepted))
        .meta({ description: 'So many disks of the machine meet the conditions, no more and no fewer.', default: 1 })
        .optional(),
    },
    accepted(diskAccepted),
  )
  .refine((given) => {
    const [min, max] = [bytes(given.min_size), bytes(given.max_size)];
    return Object.values(given).some((value) => value !== undefined) && !(min! > max!);
  }, accepted(diskAccepted))
  .meta({
    minProperties: 1,
    description: 'Conditions that exactly one disk of the machine meets, or as many as `count` says.',
  });

const hintsAccepted =
  'an object with at least one of "min_size", "max_size", "rotational", "model", "serial", "wwn", "by_path" (min_size not above max_size)';
const hintText = (what: string) =>
  text(
    what,
    '^[!-~]([ -~]{0,254}[!-~])?$',
    `${what}, as the inventory shows it, in either case; * stands for any text.`,
  );
const hints = z
  .strictObject(
    {
      min_size: size('The disk has at least this size.').optional(),
      max_size: size('The disk has at most this size.').optional(),
      rotational: flag('true: a disk with platters; false: a solid-state disk.').optional(),
      model: hintText('model of the disk').optional(),
      serial: hintText('serial number of the disk').optional(),
      wwn: hintText('World Wide Name of the disk').optional(),
      by_path: hintText('place of the disk, a name below /dev/disk/by-path').optional(),
    },
    accepted(hintsAccepted),
  )
  .refine((given) => {
    const [min, max] = [bytes(given.min_size), bytes(given.max_size)];
    return Object.values(given).some((value) => value !== undefined) && !(min! > max!);
  }, accepted(hintsAccepted))
  .meta({
    minProperties: 1,
    description: 'All of it holds for exactly one disk of the machine, which the layout then finds as /dev/nixie/disk.',
  });

const systems = ['x86_64-linux', 'aarch64-linux'] as const;
const bootAccepted =
  'a kernel word of letters, digits and . _ : , = / @ + % ~ - (no spaces, quotes or $) that is none of nixie.*, BOOTIF=, init=, initrd=';
const addressAccepted = 'an IPv4 address that a machine can have, like "192.168.1.20"';
const list = (what: string) => accepted(`an array of ${what}`);

const hostFields = {
  mac_address: mac.optional(),
  mac_addresses: z
    .array(mac, list('MAC addresses'))
    .min(1, list('at least one MAC address'))
    .max(64, list('at most 64 MAC addresses'))
    .meta({ description: 'All network cards by which the machine may ask; the first gets `address`.' })
    .optional(),
  system: z
    .enum(systems, accepted('"x86_64-linux" or "aarch64-linux"'))
    .meta({ description: 'Platform of the machine.', default: 'x86_64-linux' })
    .optional(),
  flake_attr: text(
    "an attribute of the flake's nixosConfigurations: letters, digits, _ . -",
    "^[A-Za-z0-9_][A-Za-z0-9_.'-]{0,126}$",
    "Attribute of the flake's nixosConfigurations; the host's name unless given.",
  ).optional(),
  tags: z
    .array(
      text('a tag of letters, digits and . _ : -', '^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$', 'A word to group hosts by.'),
      list('tags'),
    )
    .max(64, list('at most 64 tags'))
    .optional(),
  boot: z
    .array(
      text(
        bootAccepted,
        bootPattern,
        "A word for the installer's kernel command line, like console=ttyS0,115200.",
      ).refine((word) => !ownWords.test(word), accepted(bootAccepted)),
      list('kernel words, like ["console=ttyS0,115200"]'),
    )
    .max(32, list('at most 32 kernel words'))
    .optional(),
  address: z
    .string(accepted(addressAccepted))
    .refine((word) => isHostIpv4(parseIpv4(word) ?? 0), accepted(addressAccepted))
    .meta({ pattern: ipv4Pattern, description: "IPv4 address that Nixie's DHCP server gives to the first MAC." })
    .optional(),
  subnet: text(
    'the cidr of a declared subnet, or the name of its relay',
    '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,90}$',
    'The subnet that the machine is in, and no other: its cidr in $subnets, or the name of its relay.',
  ).optional(),
  relay: text(
    relayNameAccepted,
    relayNamePattern,
    'The nixie relay whose networks the machine is in; none when the controller reaches them itself.',
  ).optional(),
  expect_disks: z
    .array(disk, list('objects, one for each disk'))
    .max(256, list('at most 256 objects'))
    .meta({ description: 'Nothing is written unless each entry is met by exactly one disk, or as many as it says.' })
    .optional(),
  disk: hints.optional(),
  inventory: text(
    'the path of a file, like "web1/inventory.json"',
    '^[^\\u0000-\\u001f]{1,1024}$',
    'File with the inventory that was recorded of the machine, relative to this file: what differs is told before the install.',
  ).optional(),
  wipe: flag("What is on the machine's disks may be lost, in every run; by a service once.").optional(),
  allow_removable: flag("The machine's disks may be of the removable kind: sticks, memory cards.").optional(),
  secrets: secretsSchema.optional(),
};

export const hostKeys: readonly string[] = Object.keys(hostFields);
export const diskKeys: readonly string[] = Object.keys(disk.shape);
export const hintKeys: readonly string[] = Object.keys(hints.shape);

export const hostSchema = z
  .strictObject(hostFields, accepted('an object, like {"mac_address": "aa:bb:cc:dd:ee:ff"}'))
  .refine(
    (given) => given.mac_address !== undefined || given.mac_addresses !== undefined,
    accepted('"mac_address" or "mac_addresses", so that the machine can be recognised'),
  )
  .meta({ anyOf: [{ required: ['mac_address'] }, { required: ['mac_addresses'] }], description: 'One machine.' });

export type HostEntry = z.infer<typeof hostSchema>;

export const fileSchema = z
  .object(
    {
      $schema: z
        .string(accepted('the place of the JSON Schema'))
        .meta({ description: 'For editors; Nixie does not read it.' })
        .optional(),
      $subnets: subnetsSchema.optional(),
    },
    accepted('an object with an entry for each machine, like {"machine1": {"mac_address": "aa:bb:cc:dd:ee:ff"}}'),
  )
  .catchall(hostSchema)
  .meta({
    title: 'Nixie hosts file',
    description: 'Machines by name; the name is the attribute in nixosConfigurations unless flake_attr says otherwise.',
    propertyNames: { anyOf: [{ enum: ['$schema', '$subnets'] }, { pattern: namePattern }] },
  });

/** Text of hosts.schema.json. */
export function hostsJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(fileSchema, { io: 'input' }), null, 2)}\n`;
}
