// The binary cache of a run: its key out of the state folder, its table, and its door, with the rights that nix has here.
import type { Identity } from './child/identity.ts';
import { type StoreDoor, storeDoor } from './listen/http-nix.ts';
import { BinaryCache } from './nix/binary-cache.ts';
import { nixEnvironment } from './nix/command.ts';
import type { Rights } from './nix/runner.ts';
import { loadCacheKey } from './store/cache-key.ts';
import { placeIn } from './store/places.ts';

export interface RunCache {
  readonly paths: BinaryCache;
  readonly door: StoreDoor;
}

export interface CacheParts {
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly rights: Pick<Rights, 'as' | 'home'>;
  readonly warn: (text: string) => void;
}

/** Empty at first. Undefined when its key can be neither read nor made: a run goes on without, and says so. */
export function openCache({ stateDir, env, rights, warn }: CacheParts): RunCache | undefined {
  let key: ReturnType<typeof loadCacheKey>;
  try {
    key = loadCacheKey(placeIn(stateDir, 'cacheKey'));
  } catch (error) {
    warn(`there is no binary cache in this run, closures are pushed over ssh: ${(error as Error).message}`);
    return undefined;
  }
  if (key.setAside !== undefined) warn(`the key of the binary cache was damaged and is now ${key.setAside}`);
  const paths = new BinaryCache(key);
  const as: Identity | undefined = rights.as;
  const door = storeDoor({
    table: paths,
    env: nixEnvironment(env, as, rights.home),
    ...(as === undefined ? {} : { as }),
  });
  return { paths, door };
}
