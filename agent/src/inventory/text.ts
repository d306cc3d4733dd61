// Text that firmware, disks and drivers tell about themselves.

/** Trimmed of blanks, NUL and 0xff, without control bytes, at most 256 characters; undefined when nothing is left. */
export function cleanText(text: string): string | undefined {
  const clean = text
    .replace(/[\x00-\x1f\x7f-\x9f\u00ff\ufffd]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 256)
    .trim()
    .toWellFormed();
  return clean === '' ? undefined : clean;
}

const placeholders = new Set(
  [
    'To Be Filled By O.E.M.',
    'To Be Filled By O.E.M',
    'Default string',
    'System manufacturer',
    'System Product Name',
    'System Version',
    'System Serial Number',
    'Base Board Serial Number',
    'Chassis Serial Number',
    'Asset Tag',
    'Not Specified',
    'Not Available',
    'Not Applicable',
    'Not Present',
    'No Asset Tag',
    'None',
    'N/A',
    'Unknown',
    'Unspecified',
    'INVALID',
    'OEM',
    'O.E.M.',
    'Empty',
    'SKU',
    'Serial',
    '0123456789',
    '123456789',
    '1234567890',
    'xxxxxxx',
  ].map((text) => text.toLowerCase()),
);

/** What makers leave in a field that they never filled in counts as absent. */
export function withoutPlaceholder(text: string | undefined): string | undefined {
  if (text === undefined || placeholders.has(text.toLowerCase()) || /^[0fx.\-* ]+$/i.test(text)) return undefined;
  return text;
}

/** Lower case with dashes. Absent for the UUIDs that many boards share. */
export function readUuid(text: string | undefined): string | undefined {
  const uuid = text?.toLowerCase();
  if (!uuid || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) return undefined;
  if (/^[0-]+$/.test(uuid) || /^[f-]+$/.test(uuid)) return undefined;
  const shared = ['03000200-0400-0500-0006-000700080009', '00020003-0004-0005-0006-000700080009'];
  return shared.includes(uuid) ? undefined : uuid;
}

/** SMBIOS writes month/day/year; two digits of year mean 19xx (SMBIOS 7.1). */
export function readBiosDate(text: string | undefined): string | undefined {
  const match = /^(\d{2})\/(\d{2})\/(\d{4}|\d{2})$/.exec(text ?? '');
  if (!match) return undefined;
  const [, month, day, year] = match;
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > 31) return undefined;
  return `${year!.length === 2 ? `19${year}` : year}-${month}-${day}`;
}

/** How many numbers a kernel list like `0-3,8` names; undefined when it is none, or names some that no machine has. */
export function countList(text: string | undefined): number | undefined {
  if (text === undefined || text.length > 65_536 || !/^\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*$/.test(text))
    return undefined;
  return text.split(',').reduce((sum, part) => {
    const [from, to = from] = part.split('-').map(Number);
    return sum + Math.max(0, to! - from! + 1);
  }, 0);
}
