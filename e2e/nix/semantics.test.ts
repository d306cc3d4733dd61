// What the tests of the modules stand on: the module system and the functions, as nixpkgs has them. With NIXPKGS=PATH the same is asked of the
// real ones, so that the stub can't be more lenient, or stricter, unnoticed.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { makeNixBox, type NixBox, skip } from './nix.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

const options = `{ lib, ... }: let inherit (lib) mkOption types; in { options = {
  on = lib.mkEnableOption "it";
  n = mkOption { type = types.int; default = 1; };
  s = mkOption { type = types.str; };
  l = mkOption { type = types.listOf types.str; default = [ ]; };
  a = mkOption { type = types.attrsOf types.int; default = { }; };
  e = mkOption { type = types.enum [ "x" "y" ]; default = "x"; };
  m = mkOption { type = types.nullOr (types.strMatching "[a-z]+"); default = null; };
  u = mkOption { type = types.either types.int (types.listOf types.int); default = 0; };
  f = mkOption { type = types.coercedTo (types.listOf types.str) (x: lib.genAttrs x (_: true)) (types.attrsOf types.bool); default = { }; };
  sub = mkOption { default = { }; type = types.attrsOf (types.submodule ({ name, ... }: { options = {
    id = mkOption { type = types.str; default = name; };
    options = mkOption { type = types.listOf types.int; default = [ ]; };
  }; })); };
  r = mkOption { type = types.int; readOnly = true; default = 3; };
}; }`;
/** `config` of the options above with these modules. */
const of = (...modules: string[]) =>
  `(lib.evalModules { modules = [ (${options}) ${modules.map((one) => `(${one})`).join(' ')} ]; }).config`;

for (const [name, expression, want] of [
  ['defaults', `${of()}.n`, 1],
  ['a default that is not asked for need not be there', `${of('{ on = true; }')}.on`, true],
  ['what is said goes over a default', `${of('{ lib, ... }: { n = lib.mkDefault 2; }')}.n`, 2],
  ['force goes over what is said', `${of('{ lib, ... }: { n = lib.mkForce 3; }', '{ n = 2; }')}.n`, 3],
  [
    'numbers of strength: the smaller one wins',
    `${of('{ lib, ... }: { n = lib.mkOverride 70 3; }', '{ lib, ... }: { n = lib.mkOverride 65 4; }', '{ n = 2; }')}.n`,
    4,
  ],
  ['lists are joined', `${of('{ l = [ "b" ]; }', '{ lib, ... }: { l = lib.mkBefore [ "a" ]; }')}.l`, ['a', 'b']],
  ['order', `${of('{ lib, ... }: { l = lib.mkAfter [ "z" ]; }', '{ l = [ "b" ]; }')}.l`, ['b', 'z']],
  ['a condition', `${of('{ lib, ... }: { l = lib.mkIf false [ "a" ]; n = lib.mkIf true 5; }')}`.concat('.n'), 5],
  [
    'a condition that depends on another option',
    `${of('{ lib, config, ... }: lib.mkIf config.on { n = 7; }', '{ on = true; }')}.n`,
    7,
  ],
  ['several', `${of('{ lib, ... }: lib.mkMerge [ { n = 8; } (lib.mkIf false { n = 9; }) ]')}.n`, 8],
  [
    'strength inside of a set',
    `${of('{ lib, ... }: { a.x = lib.mkDefault 1; }', '{ a = { x = 2; y = 3; }; }')}.a`,
    { x: 2, y: 3 },
  ],
  [
    'a list or a set',
    `${of('{ f = [ "p" "q" ]; }', '{ lib, ... }: { f = { r = true; q = lib.mkForce false; }; }')}.f`,
    { p: true, q: false, r: true },
  ],
  ['a submodule knows its name', `${of('{ sub.one = { }; }')}.sub.one.id`, 'one'],
  [
    'a field of a submodule may be called options',
    `${of('{ sub.one = { options = [ 1 ]; id = "x"; }; }')}.sub.one.options`,
    [1],
  ],
  ['a file is one module, from however many places', `${of('{ imports = [ MODULE MODULE ]; }')}.l`, ['file']],
] as const) {
  test(name, { skip }, async () => {
    const file = `${box!.tree}/e2e/nix/twice.nix`;
    const text = expression.replaceAll('MODULE', file);
    if (text !== expression) (await import('node:fs')).writeFileSync(file, '{ l = [ "file" ]; }\n');
    assert.deepEqual(await box!.value(text), want);
  });
}

for (const [name, expression, why] of [
  ['an option that is not there', `${of('{ nn = 1; }')}.n`, /`nn' does not exist/],
  ['one of a submodule', `${of('{ sub.x.idd = ""; }')}.sub.x.id`, /`sub\.x\.idd' does not exist/],
  ['no value', `${of()}.s`, /`s' (?:was accessed but has no value|is used but not) defined/],
  ['another type', `${of('{ n = "1"; }')}.n`, /`n' is not of type/],
  ['another type in a list', `${of('{ l = [ 1 ]; }')}.l`, /`l\.[^']*' is not of type/],
  ['none of the words', `${of('{ e = "z"; }')}.e`, /`e' is not of type/],
  ['text that does not match', `${of('{ m = "A"; }')}.m`, /`m' is not of type/],
  ['neither', `${of('{ u = "a"; }')}.u`, /`u' is not of type/],
  ['two values of one strength', `${of('{ n = 1; }', '{ n = 2; }')}.n`, /`n' has conflicting definition/],
  [
    'two defaults of one strength',
    `${of('{ lib, ... }: { n = lib.mkDefault 4; }', '{ lib, ... }: { n = lib.mkDefault 5; }')}.n`,
    /`n' has conflicting definition/,
  ],
  ['options beside configuration', `${of('{ config = { n = 1; }; n = 2; }')}.n`, /unsupported attribute `n'/],
  [
    'an option declared twice',
    `${of(options.replace(/ {2}on =[\s\S]*$/, 'n = mkOption { type = types.str; }; }; }'))}.n`,
    /`n' .*(?:declared twice|already declared)/,
  ],
  ['a value where none may be', `${of('{ r = 4; }')}.r`, /`r' is read-only/],
  ['an argument that mkOption has not', `${of('{ lib, ... }: { options.k = lib.mkOption { typ = 1; }; }')}.k`, /typ/],
  ['a function that lib has not', 'lib.chars "a"', /chars/],
] as const)
  test(`refused: ${name}`, { skip }, () =>
    assert.rejects(
      box!.value(expression),
      (error: Error) => why.test(error.message) || assert.fail(`${error.message.slice(-600)}`),
    ),
  );
