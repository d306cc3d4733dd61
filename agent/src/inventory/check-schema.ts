// For tests: as much of JSON Schema as inventory.schema.json uses.

export interface Node {
  readonly $ref?: string;
  readonly $defs?: Record<string, Node>;
  readonly type?: string;
  readonly properties?: Record<string, Node>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** @returns what doesn't hold, each with its place; names that the schema doesn't know are among it */
export function check(schema: Node, value: unknown, node = schema, at = ''): string[] {
  if (node.$ref !== undefined) return check(schema, value, schema.$defs![node.$ref.split('/').pop()!]!, at);
  const found =
    value === null
      ? 'null'
      : Array.isArray(value)
        ? 'array'
        : typeof value === 'number' && Number.isInteger(value)
          ? 'integer'
          : typeof value;
  if (found !== node.type) return [`${at}: found ${found}, want ${node.type}`];
  if (typeof value === 'number' && (value < (node.minimum ?? value) || value > (node.maximum ?? value)))
    return [`${at}: found ${value}, want ${node.minimum} to ${node.maximum}`];
  if (Array.isArray(value)) return value.flatMap((each, index) => check(schema, each, node.items, `${at}/${index}`));
  if (found !== 'object') return [];
  const entries = value as Record<string, unknown>;
  return [
    ...(node.required ?? []).filter((name) => !(name in entries)).map((name) => `${at}/${name}: absent`),
    ...Object.entries(entries).flatMap(([name, each]) => {
      const known = node.properties?.[name];
      return known === undefined ? [`${at}/${name}: not in the schema`] : check(schema, each, known, `${at}/${name}`);
    }),
  ];
}
