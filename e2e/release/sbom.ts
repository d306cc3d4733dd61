// What is in the artefacts, as CycloneDX 1.5 JSON, from the lock file: the packages that controller and agent need, with their hashes.

interface Component {
  readonly type: 'library' | 'platform';
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly hashes?: readonly { readonly alg: 'SHA-512'; readonly content: string }[];
}

/** Blocks of the lock file by their key: `importers`, `packages`, `snapshots` hold keys indented by two. */
function blocks(lock: string, section: string): Map<string, string> {
  const [, body = ''] = new RegExp(`^${section}:\\n([\\s\\S]*?)(?=^\\S|$(?![\\s\\S]))`, 'm').exec(lock) ?? [];
  return new Map(
    [...body.matchAll(/^ {2}(\S.*?):(?: \{\})?\n((?: {4,}.*\n|\n)*)/gm)].map((match) => [
      match[1]!.replace(/^'|'$/g, ''),
      match[2]!,
    ]),
  );
}

/** `name → version` of the dependencies in a block, those for development left out. */
function needs(block: string, indent: number): [string, string][] {
  const found: [string, string][] = [];
  for (const kind of ['dependencies', 'optionalDependencies']) {
    const pad = ' '.repeat(indent);
    const body = new RegExp(`^${pad}${kind}:\\n((?:${pad} {2,}.*\\n)*)`, 'm').exec(block)?.[1] ?? '';
    const entry =
      indent === 4 && /specifier:/.test(body)
        ? /^ {6}'?([^':\n]+)'?:\n {8}specifier: .*\n {8}version: (\S+)/gm
        : /^ {6}'?([^':\n]+)'?: (\S+)$/gm;
    for (const match of body.matchAll(entry)) found.push([match[1]!, match[2]!]);
  }
  return found;
}

export function componentsOf(lock: string, importers: readonly string[]): Component[] {
  const [roots, packages, snapshots] = [blocks(lock, 'importers'), blocks(lock, 'packages'), blocks(lock, 'snapshots')];
  const wanted = new Set<string>();
  const visit = ([name, version]: [string, string]): void => {
    const key = `${name}@${version}`;
    if (version.startsWith('link:') || wanted.has(key)) return;
    wanted.add(key);
    for (const next of needs(snapshots.get(key) ?? '', 4)) visit(next);
  };
  for (const importer of importers) {
    const block = roots.get(importer);
    if (block === undefined) throw new Error(`the lock file has no ${importer}`);
    for (const one of needs(block, 4)) visit(one);
  }
  return [...wanted].sort().map((key) => {
    const at = key.lastIndexOf('@', key.includes('(') ? key.indexOf('(') : undefined);
    const [name, version] = [key.slice(0, at), key.slice(at + 1).replace(/\(.*$/, '')];
    const integrity = /integrity: sha512-([A-Za-z0-9+/=]+)/.exec(packages.get(`${name}@${version}`) ?? '')?.[1];
    if (integrity === undefined) throw new Error(`the lock file has no hash of ${key}`);
    const content = Buffer.from(integrity, 'base64').toString('hex');
    return {
      type: 'library',
      name,
      version,
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      hashes: [{ alg: 'SHA-512', content }],
    };
  });
}

export function sbom(lock: string, version: string, nodeVersion: string, unixMs: number): string {
  const node: Component = {
    type: 'platform',
    name: 'node',
    version: nodeVersion,
    purl: `pkg:generic/node@${nodeVersion}`,
  };
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      timestamp: new Date(unixMs).toISOString(),
      component: { type: 'application', name: 'nixie', version, licenses: [{ license: { id: 'MIT' } }] },
    },
    components: [...componentsOf(lock, ['agent', 'controller', 'proto']), node],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
