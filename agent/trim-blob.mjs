// Makes the blob of an executable with a snapshot smaller. Node puts compiled code of all its own modules behind the snapshot, 3.8 MB, which
// then lies in the memory of the process as well; the agent needs that of the few it loads after it has begun, and a module without is compiled.
//
// The form is Node's own (src/node_sea.cc, src/node_snapshotable.cc): numbers of 64 bits in little-endian order, a string or a vector is its
// length and its bytes. Whatever isn't exactly as expected leaves the blob as it is.

const snapshotMagic = Buffer.from([0x19, 0xda, 0x43, 0x01]);

/**
 * The table at the end of the snapshot: a count, then so many pairs of name and code.
 * @param {Buffer} blob the snapshot alone
 * @returns {{start: number, entries: {name: string, from: number, to: number}[]} | undefined}
 */
export function findCodeCache(blob) {
  for (let start = 0; start + 16 <= blob.length; start += 1) {
    // Most places are out by a look at two bytes: less than 65536 modules, and a name that isn't empty or long.
    if (blob[start + 2] !== 0 || blob[start + 8] === 0 || blob[start + 9] !== 0) continue;
    const entries = readEntries(blob, start);
    if (entries !== undefined) return { start, entries };
  }
  return undefined;
}

/** @param {Buffer} blob @param {number} start */
function readEntries(blob, start) {
  const count = blob.readBigUInt64LE(start);
  if (count < 1n || count > 65_535n) return undefined;
  const entries = [];
  let at = start + 8;
  for (let left = Number(count); left > 0; left -= 1) {
    const from = at;
    const name = readBytes(blob, at, 256n);
    if (name === undefined || !/^[\w./-]+$/.test(name.toString('latin1'))) return undefined;
    at += 8 + name.length;
    const code = readBytes(blob, at, 1n << 24n);
    if (code === undefined) return undefined;
    at += 8 + code.length;
    entries.push({ name: name.toString('latin1'), from, to: at });
  }
  return at === blob.length ? entries : undefined;
}

/** @param {Buffer} blob @param {number} at @param {bigint} most */
function readBytes(blob, at, most) {
  if (at + 8 > blob.length) return undefined;
  const length = blob.readBigUInt64LE(at);
  if (length > most || BigInt(at + 8) + length > BigInt(blob.length)) return undefined;
  return blob.subarray(at + 8, at + 8 + Number(length));
}

/**
 * @param {Buffer} blob as `node --experimental-sea-config` wrote it
 * @param {ReadonlySet<string>} wanted names of modules whose compiled code stays
 * @returns {Buffer | undefined} the smaller blob; undefined when this one has another form
 */
export function trimBlob(blob, wanted) {
  const start = blob.indexOf(snapshotMagic);
  if (start < 8) return undefined;
  const snapshot = readBytes(blob, start - 8, BigInt(blob.length));
  const cache = snapshot && findCodeCache(snapshot);
  if (snapshot === undefined || cache === undefined) return undefined;
  const kept = cache.entries.filter(({ name }) => wanted.has(name));
  const count = Buffer.alloc(8);
  count.writeBigUInt64LE(BigInt(kept.length));
  const trimmed = Buffer.concat([
    snapshot.subarray(0, cache.start),
    count,
    ...kept.map(({ from, to }) => snapshot.subarray(from, to)),
  ]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(trimmed.length));
  // What stands behind it, such as options for Node, stays.
  return Buffer.concat([blob.subarray(0, start - 8), length, trimmed, blob.subarray(start + snapshot.length)]);
}
