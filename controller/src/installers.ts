// The installers of a run, one for each platform, in the three forms in which they are asked for. A service takes a newer one in place of an older.
import type { InstallerFiles } from './answer/script.ts';
import { filesOf } from './core/installer-files.ts';
import type { HttpFiles } from './listen/http.ts';
import { servedInstaller } from './listen/served-installer.ts';
import type { System } from './machine/host.ts';
import type { Installer } from './nix/types.ts';

export class Installers {
  readonly #built = new Map<System, Installer>();
  readonly #files = new Map<System, InstallerFiles>();
  #served: HttpFiles = new Map();

  /** As nix built them: for relays. */
  get built(): ReadonlyMap<System, Installer> {
    return this.#built;
  }

  /** As HTTP serves them; those of older ones too, which machines may be loading. */
  get served(): HttpFiles {
    return this.#served;
  }

  /** As boot scripts name them. */
  files(system: System): InstallerFiles | undefined {
    return this.#files.get(system);
  }

  /** The result: bytes of each of its files, by the name it is served under. */
  take(system: System, installer: Installer): ReadonlyMap<string, number> {
    const served = servedInstaller(installer);
    this.#files.set(system, filesOf(installer));
    this.#built.set(system, installer);
    this.#served = new Map([...this.#served, ...served]);
    return new Map([...served].map(([name, { size }]) => [name, size]));
  }
}
