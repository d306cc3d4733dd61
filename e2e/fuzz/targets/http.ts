// Request line and headers: path in the first line, method in the second, Range and If-None-Match in the next.
import { contentType, matchesTag, parseRange } from '../../../controller/src/listen/http-file.ts';
import { routeOf } from '../../../controller/src/listen/http-route.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const name = `${'a'.repeat(64)}/kernel`;
const image = 'b'.repeat(64);
const tables = {
  loaders: new Map([['snponly.efi', 1]]),
  files: new Map([
    [name, 1],
    [`${image}/image`, 1],
  ]),
};

export const target: Target = {
  name: 'http',
  seeds: [
    bytesOf(`/f/${name}\nGET\nbytes=0-99\n"abc", W/"def"`),
    bytesOf('/boot/52-54-00-77-00-01.ipxe?x=1\nGET\nbytes=-5\n*'),
    bytesOf('/loader/snponly.efi\nHEAD\nbytes=5-\n"x"'),
    bytesOf('/ping\nGET'),
    bytesOf('/install\nPOST'),
    bytesOf(`/fleet/${image}\nPOST`),
    bytesOf(`/fleet/${image}/stage\nPOST`),
    bytesOf(`/f/${image}/image/12\nGET`),
  ],
  dictionary: [
    '/f/',
    '/loader/',
    '/fleet/',
    'POST',
    '/boot/',
    '.ipxe',
    '..',
    '%2e%2e/',
    '//',
    '?',
    'bytes=',
    '-',
    ',',
    'HEAD',
    '__proto__',
    'constructor',
    'W/',
  ],
  allowed: [],
  run(bytes) {
    const [url = '', method = '', range, tag] = text(bytes).split('\n');
    const route = routeOf(method, url, tables, 512);
    if (route.kind === 'loader' || route.kind === 'file') {
      must(
        route.kind === 'loader' ? tables.loaders.has(route.name) : tables.files.has(route.name),
        'only of the tables',
      );
      contentType(route.name);
    }
    if (route.kind === 'fleet')
      must(method === 'POST' && route.image === image, 'announcements are of an image of the table');
    if (route.kind === 'chunk')
      must(
        route.name === `${image}/image` && route.chunk >= 0 && route.chunk < 10_000,
        'a chunk is of an image of the table',
      );
    for (const size of [0, 1, 100, 3_000_000_000]) {
      const asked = parseRange(range, size);
      if (typeof asked === 'object')
        must(asked.first >= 0 && asked.first <= asked.last && asked.last < size, 'a range lies in the file');
    }
    matchesTag(tag, '"abc"');
  },
};
