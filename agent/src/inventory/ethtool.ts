// What ethtool says of a card. Its words have been the same for decades; its JSON is newer than the tool of many images.
import type { Nic } from '@nixie/proto/inventory';
import { readMac } from '../cmdline.ts';
import { cleanText, withoutPlaceholder } from './text.ts';
import type { Tree } from './tree.ts';

export type EthtoolFacts = Pick<Nic, 'firmware' | 'autoneg' | 'wolSupported' | 'wolEnabled' | 'permanentMac'>;

/** `ethtool -i`, `ethtool` and `ethtool -P`, one below the other. */
export function readEthtool(text: string): EthtoolFacts {
  const field = (name: string): string | undefined => {
    const found = new RegExp(`^[ \\t]*${name}: ?(.*)$`, 'm').exec(text)?.[1];
    return found === undefined ? undefined : cleanText(found);
  };
  const letters = (name: string): string | undefined => {
    const found = field(name);
    // d is "disabled".
    return found !== undefined && /^[a-z]{1,16}$/.test(found) ? found.replace('d', '') : undefined;
  };
  const autoneg = field('Auto-negotiation');
  const permanent = readMac(field('Permanent address') ?? '');
  return {
    firmware: withoutPlaceholder(field('firmware-version')),
    autoneg: autoneg === 'on' ? true : autoneg === 'off' ? false : undefined,
    wolSupported: letters('Supports Wake-on'),
    wolEnabled: letters('Wake-on'),
    permanentMac: permanent === '00:00:00:00:00:00' ? undefined : permanent,
  };
}

export async function askEthtool(tree: Tree, name: string): Promise<EthtoolFacts> {
  const ask = (argv: readonly string[]): Promise<string | undefined> =>
    // Drivers that know less than was asked make it end with 75 or more, after it has printed the rest.
    tree.program(['ethtool', ...argv], 3000, (status) => status >= 70);
  const driver = await ask(['-i', name]);
  // Without the program there is no use in asking twice more.
  if (driver === undefined) return {};
  return readEthtool([driver, await ask([name]), await ask(['-P', name])].join('\n'));
}
