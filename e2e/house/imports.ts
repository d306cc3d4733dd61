// Finds what a TypeScript or JavaScript file imports.

export interface Import {
  readonly from: string;
  /** Only types: nothing of it is there at run time. */
  readonly typeOnly: boolean;
  readonly line: number;
}

const statement =
  /(?:^|[;}\n])[ \t]*(?:import|export)\s+(type\s+)?(?:[\w*${}\s,]+?\sfrom\s*)?(['"])([^'"\n]+)\2|(?<![\w.$])(?:import|require)\s*\(\s*(['"])([^'"\n]+)\4\s*\)/g;

/** Static imports, re-exports, `import()` and `require()` with a literal; what stands in comments is left out. */
export function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  return [...code.matchAll(statement)].map((match) => ({
    from: match[3] ?? match[5]!,
    typeOnly: match[1] !== undefined,
    line: code.slice(0, match.index + match[0].length).split('\n').length,
  }));
}

/** Comments become spaces, so that lines keep their numbers. Strings and regular expressions are passed over. */
export function withoutComments(source: string): string {
  const token =
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*|(?<=[=(,:[!&|?{};\n]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;
  return source.replace(token, (found) =>
    found.startsWith('/*') || found.startsWith('//') ? found.replace(/[^\n]/g, ' ') : found,
  );
}
