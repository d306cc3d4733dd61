// What a relay may fetch, and where it comes from: files of the installer, loaders, the binary cache.
import { createHash } from 'node:crypto';
import { get } from 'node:http';
import type { Readable } from 'node:stream';
import type { System } from '../machine/host.ts';
import type { PathTable } from '../nix/binary-cache.ts';
import type { Installer } from '../nix/types.ts';
import type { StoreDoor } from './http-nix.ts';
import type { FoundLoaders } from './loaders.ts';
import { bytesToFetch, type Fetchable, type FetchWhat, fileToFetch } from './relay-fetch.ts';

export interface RelayFiles {
  readonly installers: ReadonlyMap<System, Installer>;
  readonly loaders: Pick<FoundLoaders, 'files'>;
  /** Absent: there is none. */
  readonly cache?: { readonly paths: PathTable; readonly door: Pick<StoreDoor, 'behalfOf'> };
  /** Our own HTTP door. */
  readonly own: readonly string[];
  readonly httpPort: number;
}

/** 64 lower-case hexadecimal digits. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What this relay may fetch: the installer, the loaders, and the binary cache, which is the same for all. */
export async function fetchable(world: RelayFiles, relay: string, what: FetchWhat): Promise<Fetchable | undefined> {
  switch (what.$case) {
    case 'sha256': {
      for (const { kernel, initrd, image } of world.installers.values()) {
        for (const { sha256, path, bytes } of [kernel, initrd, ...(image === undefined ? [] : [image.file])])
          if (sha256 === what.value) return fileToFetch(path, bytes);
        if (image?.manifest.sha256 === what.value) return bytesToFetch(Buffer.from(image.manifest.text));
      }
      for (const bytes of world.loaders.files.values()) if (sha256Of(bytes) === what.value) return bytesToFetch(bytes);
      return undefined;
    }
    case 'narinfo': {
      const text = world.cache?.paths.narInfo(what.value);
      return text === undefined ? undefined : bytesToFetch(Buffer.from(text));
    }
    case 'nar': {
      const served = world.cache?.paths.served(what.value);
      const [host] = world.own;
      if (served === undefined || host === undefined) return undefined;
      const url = `http://${host}:${world.httpPort}/nix/nar/${what.value}.nar`;
      return narToFetch(url, served.narSize, world.cache?.door.behalfOf(relay) ?? {});
    }
  }
}

/** By our own front door, which has the children, their limits and whose rights they get. A NAR has no middle: what comes before is passed over. */
function narToFetch(url: string, totalBytes: number, headers: Readonly<Record<string, string>>): Fetchable {
  return {
    totalBytes,
    async *read(offset, signal) {
      const response = await new Promise<Readable & { statusCode?: number }>((resolve, reject) => {
        get(url, { headers, signal, agent: false }, resolve).once('error', reject);
      });
      if (response.statusCode !== 200) {
        response.resume();
        throw new Error(`read ${url}: status ${response.statusCode}`);
      }
      let skip = offset;
      for await (const chunk of response as AsyncIterable<Buffer>) {
        if (skip >= chunk.length) skip -= chunk.length;
        else {
          yield chunk.subarray(skip);
          skip = 0;
        }
      }
    },
  };
}
