// Run inside a namespace: brings up its idle links as the agent does, and prints which. Virtual links have no device below them; here they count as
// cards all the same.
import { readdirSync } from 'node:fs';
import { realClock } from '../../../agent/src/host.ts';
import { raiseLinks, raiseWorld } from '../../../agent/src/inventory/raise-links.ts';
import { machineSource, type Source } from '../../../agent/src/inventory/source.ts';

const source: Source = {
  ...machineSource,
  real: (path) => (/\/net\/e\d+\/device$/.test(path) ? Promise.resolve(path) : machineSource.real(path)),
  list: async (path) => (path.endsWith('/device') ? [] : readdirSync(path).sort()),
};
process.stdout.write(`${JSON.stringify(await raiseLinks(raiseWorld(source, realClock), 3000, undefined))}\n`);
