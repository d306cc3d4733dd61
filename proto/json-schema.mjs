// inventory.proto → JSON Schema of the inventory's JSON form: the same names, the comments as descriptions. Understands as much of the proto
// language as that file uses, and refuses the rest.

const scalars = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  uint32: { type: 'integer', minimum: 0, maximum: 4294967295 },
  int32: { type: 'integer', minimum: -2147483648, maximum: 2147483647 },
  uint64: { type: 'integer', minimum: 0 },
  int64: { type: 'integer' },
};

/** @param {string} proto text of the file @returns {string} */
export function inventorySchema(proto) {
  const $defs = {};
  let message;
  let comment = [];
  for (const [index, whole] of proto.split('\n').entries()) {
    const line = whole.trim();
    const said = comment.join(' ');
    if (line.startsWith('//')) {
      comment.push(line.slice(2).trim());
      continue;
    }
    comment = [];
    if (line === '') continue;
    const begin = /^message (\w+) \{$/.exec(line);
    const field = /^(?:(optional|repeated) )?(\w+) (\w+) = \d+;$/.exec(line);
    if (begin) {
      message = { type: 'object', ...(said && { description: said }), properties: {}, required: [] };
      $defs[begin[1]] = message;
    } else if (line === '}') message = undefined;
    else if (field && message) {
      const [, label, type, name] = field;
      const of = scalars[type] ?? { $ref: `#/$defs/${type}` };
      message.properties[name] = {
        ...(label === 'repeated' ? { type: 'array', items: of } : of),
        ...(said && { description: said }),
      };
      // A message without a label may be absent (proto3); a scalar or a list is always written.
      if (label === 'repeated' || (label === undefined && scalars[type])) message.required.push(name);
    } else if (!/^(syntax|package) /.test(line)) throw new Error(`line ${index + 1}: not understood: ${line}`);
  }
  const { Inventory, ...others } = $defs;
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'What a machine is made of, as nixie and nixie-agent print it',
    ...Inventory,
    $defs: others,
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
