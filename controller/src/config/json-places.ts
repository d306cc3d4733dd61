// Where the nodes of a tree stand in its text. Both are gone through once, so that a file full of mistakes is told of as fast as it is read.
import type { JsonNode, Member, Position } from './json-tree.ts';

export type Path = readonly (string | number)[];

export interface JsonPlaces {
  /** The node at a path, or the nearest one above it that exists; of doubled keys the last. */
  node(path: Path): JsonNode;
  /** Offset of the key at the end of a path; of the nearest node above it when there is no such key. */
  keyOffset(path: Path): number;
  position(offset: number): Position;
}

export function placesOf(root: JsonNode, text: string): JsonPlaces {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const known = new Map<JsonNode, ReadonlyMap<string, Member>>();
  const member = (node: JsonNode, step: string | number): Member | undefined => {
    if (node.kind !== 'object') return undefined;
    let members = known.get(node);
    if (members === undefined) {
      members = new Map(node.members.map((each) => [each.key, each]));
      known.set(node, members);
    }
    return members.get(String(step));
  };
  const node = (path: Path): JsonNode => {
    let at = root;
    for (const step of path) {
      const next = at.kind === 'array' ? at.items[step as number] : member(at, step)?.value;
      if (next === undefined) return at;
      at = next;
    }
    return at;
  };
  return {
    node,
    keyOffset(path) {
      const parent = node(path.slice(0, -1));
      return member(parent, path.at(-1) ?? '')?.keyAt ?? parent.at;
    },
    position(offset) {
      // The last line that begins at or before the offset.
      let [low, high] = [0, starts.length];
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (starts[middle]! <= offset) low = middle;
        else high = middle;
      }
      return { line: low + 1, column: offset - starts[low]! + 1 };
    },
  };
}
