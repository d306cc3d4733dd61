import assert from 'node:assert/strict';
import test from 'node:test';
import { routeOf } from './http-route.ts';

const name = `${'a'.repeat(64)}/kernel`;
const tables = { loaders: new Set(['snponly.efi']), files: new Set([name]) };
const asked = (method: string, url: string) => {
  const route = routeOf(method, url, tables, 512);
  return route.kind === 'refuse' ? `${route.status} ${route.why}` : route.kind;
};

for (const [method, url, want] of [
  ['GET', '/ping', 'ping'],
  ['GET', '/boot/52-54-00-77-00-01.ipxe?x=/../', 'script'],
  ['HEAD', '/boot/52-54-00-77-00-01.ipxe', '405 head-of-script'],
  ['HEAD', '/loader/snponly.efi', 'loader'],
  ['GET', `/f/${name}`, 'file'],
  ['POST', '/install', 'old-agent'],
  ['POST', '/ping', '405 method'],
  ['GET', `/f/${name}/`, '404 unknown-path'],
  ['GET', '/f/../f/x', '404 unknown-path'],
  ['GET', '/loader/constructor', '404 unknown-path'],
  ['GET', '/boot/.ipxe', '404 unknown-path'],
  ['GET', `/${'x'.repeat(512)}`, '414 too-long'],
  ['', '', '405 method'],
] as const)
  test(`${method} ${url.slice(0, 60)}: ${want}`, () => assert.equal(asked(method, url), want));
