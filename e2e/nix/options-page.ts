// docs/options.md, made from the modules themselves.
import type { NixBox } from './nix.ts';

interface OptionFacts {
  readonly name: string;
  readonly type: string;
  readonly description: string;
  /** Nix text; absent: it has to be given. */
  readonly default?: string;
  readonly example?: string;
}

const intro = `# Options of the NixOS modules

Made from the modules by \`NIXIE_WRITE_DOCS=1 npm test -- e2e/nix/options-page.test.ts\`; a test says when it is out of date.
`;
const modules: readonly (readonly [name: string, text: string])[] = [
  ['nixie', 'The controller as a service: `nixosModules.nixie`. The hosts are those of `hosts.json`, in camelCase.'],
  ['nixie-agent', 'The agent, for installer images: `nixosModules.nixie-agent`, and part of `lib.mkInstaller`.'],
  ['nixie-host', 'For installed machines: `nixosModules.nixie-host`.'],
  ['nixie-relay', 'A relay in another subnet ([relay.md](relay.md)): `nixosModules.nixie-relay`.'],
];

// Values as Nix would write them; texts that stand for a value are taken as they are.
const walk = `
  show = v: if builtins.isAttrs v && v ? _type && v ? text then v.text
    else if builtins.isAttrs v then (if v == { } then "{ }" else "{ \${lib.concatStringsSep " " (lib.mapAttrsToList (n: x: "\${key n} = \${show x};") v)} }")
    else if builtins.isList v then (if v == [ ] then "[ ]" else "[ \${lib.concatMapStringsSep " " show v} ]")
    else builtins.toJSON v;
  key = n: if builtins.match "[A-Za-z_][A-Za-z0-9_'-]*" n != null then n else builtins.toJSON n;
  isOption = o: o._type or "" == "option";
  facts = o: prefix: [ ({ name = lib.concatStringsSep "." prefix; type = o.type.description; inherit (o) description; }
    // (if o ? defaultText then { default = show o.defaultText; } else if o ? default then { default = show o.default; } else { })
    // (if o ? example then { example = show o.example; } else { })) ]
    ++ flatten prefix (o.type.getSubOptions [ ]) (if lib.hasPrefix "attribute set of" o.type.description then [ "<name>" ] else if lib.hasPrefix "list of" o.type.description then [ "*" ] else [ ]);
  flatten = prefix: set: more: lib.concatMap (n: if n == "_module" then [ ] else let o = set.\${n}; p = prefix ++ more ++ [ n ]; in
    if isOption o then facts o p else flatten p o [ ]) (lib.attrNames set);`;

export async function optionsPage(box: NixBox): Promise<string> {
  const found = await box.value<Record<string, OptionFacts[]>>(`let
    options = (lib.nixosSystem { system = "x86_64-linux"; modules = [ nixie.nixosModules.default ]; }).options.services;
    ${walk}
  in lib.genAttrs [ "nixie" "nixie-agent" "nixie-host" "nixie-relay" ] (name: flatten [ "services" name ] options.\${name} [ ])`);
  const sections = modules.map(([name, text]) => {
    const options = found[name]!.map(
      (one) =>
        `### \`${one.name}\`\n${one.description}\n\n- type: ${one.type}\n${
          one.default === undefined ? '- must be given' : `- default: \`${one.default}\``
        }${one.example === undefined ? '' : `\n- example: \`${one.example}\``}\n`,
    );
    return `## services.${name}\n${text}\n\n${options.join('\n')}`;
  });
  return `${intro}\n${sections.join('\n')}`;
}
