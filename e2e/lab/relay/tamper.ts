// A relay that has gone bad, as far as what it carries: passes TCP connections on, takes the stream apart into TLS records, and changes a byte when it
// is told to. `tamper.ts LISTEN_PORT HOST PORT MARK…`: answers each line on standard input with what it saw. Ended by the end of its input.
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const [listenPort = '0', host = '', port = '0', ...marks] = process.argv.slice(2);
const seen = {
  connections: 0,
  broken: 0,
  bytes: 0,
  /** Bytes that belong to no TLS record. */
  other: 0,
  /** Records by type: 20 to 23, RFC 8446 5.1. */
  records: {} as Record<string, number>,
  marks: [] as string[],
  changed: 0,
};
let change = false;

/** Follows one direction. */
function reader(): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  let tail = '';
  return (bytes) => {
    seen.bytes += bytes.length;
    const text = tail + bytes.toString('latin1');
    for (const mark of marks) if (text.includes(mark) && !seen.marks.includes(mark)) seen.marks.push(mark);
    tail = text.slice(-200);
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 5) {
      const [type = 0, version = 0] = rest;
      if (type < 20 || type > 23 || version !== 3) {
        seen.other += rest.length;
        rest = Buffer.alloc(0);
        break;
      }
      const end = 5 + rest.readUInt16BE(3);
      if (rest.length < end) break;
      seen.records[type] = (seen.records[type] ?? 0) + 1;
      rest = rest.subarray(end);
    }
  };
}

createServer((machine) => {
  seen.connections++;
  const further = connect({ host, port: Number(port) });
  const pass = (from: Socket, to: Socket, tampers: boolean) => {
    const read = reader();
    from.on('data', (bytes) => {
      read(bytes);
      if (tampers && change && bytes.length > 10) {
        change = false;
        seen.changed++;
        bytes[bytes.length - 3]! ^= 1;
      }
      to.write(bytes);
    });
    from.on('error', () => {});
    from.on('close', () => to.destroy());
  };
  machine.on('close', () => {
    seen.broken++;
  });
  pass(machine, further, true);
  pass(further, machine, false);
}).listen(Number(listenPort), '127.0.0.1', () => console.log(JSON.stringify({ ready: true })));

createInterface({ input: process.stdin })
  .on('line', (line) => {
    if ((JSON.parse(line) as { do?: string }).do === 'change') change = true;
    console.log(JSON.stringify({ answer: true, ...seen }));
  })
  .on('close', () => process.exit(0));
