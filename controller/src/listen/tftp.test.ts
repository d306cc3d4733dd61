import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import test from 'node:test';
import { decodeTftp, encodeTftp, type TftpPacket } from '../wire/tftp/packet.ts';
import type { TransferTiming } from '../wire/tftp/transfer.ts';
import type { Seen } from './seen.ts';
import { PackedFiles, serveTftp, tableName } from './tftp.ts';

function bound(address = '127.0.0.1'): Promise<dgram.Socket> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    socket.bind(0, address, () => resolve(socket));
  });
}

/** A client whose received packets can be awaited in order. */
async function client(server: number, address?: string) {
  const socket = await bound(address);
  const inbox: { packet: TftpPacket; port: number }[] = [];
  let wake = (): void => {};
  socket.on('message', (bytes, from) => {
    inbox.push({ packet: decodeTftp(bytes), port: from.port });
    wake();
  });
  return {
    inbox,
    send: (packet: TftpPacket, port = server) => socket.send(encodeTftp(packet), port, '127.0.0.1'),
    async next() {
      while (inbox.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return inbox.shift()!;
    },
    close: () => socket.close(),
  };
}

/** A clock that goes on by a millisecond with each look: whatever holds this computer up, no block is late for that. */
function looked(): () => number {
  let now = 0;
  return () => ++now;
}

const file = Buffer.alloc(1000, 7);
const read = (name: string, options: [string, string][] = []): TftpPacket => ({
  op: 'read',
  name,
  mode: 'octet',
  options,
});

async function withDoor(
  use: (port: number, seen: Seen[], counters: () => object) => Promise<void>,
  maxTransfers = 10,
  timing?: TransferTiming,
) {
  const listener = await bound();
  const seen: Seen[] = [];
  const door = serveTftp({
    listener,
    interface: 'lo',
    mtu: 1280,
    files: new Map([['snponly.efi', file]]),
    openSocket: async () => ({ socket: await bound() }),
    nowMs: looked(),
    onSeen: (one) => seen.push(one),
    maxTransfers,
    ...(timing === undefined ? {} : { timing }),
  });
  try {
    await use(listener.address().port, seen, door.counters);
  } finally {
    await door.close();
  }
}

test('a machine that no full block reaches is offered smaller ones when it asks again', async (t) => {
  const timing = { firstTimeoutMs: 2, floorMs: 2, ceilingMs: 4, patienceMs: 5000 };
  await withDoor(
    async (port, seen) => {
      const asked: string[] = [];
      for (let turn = 0; turn < 3; turn++) {
        const machine = await client(port);
        // Not before the end: the next one could get the same port, and hear what this one is still sent.
        t.after(() => machine.close());
        machine.send(read('snponly.efi', [['blksize', '1200']]));
        const { packet, port: transfer } = await machine.next();
        assert.equal(packet.op, 'oack');
        asked.push(packet.op === 'oack' ? packet.options[0]![1] : '');
        // It hears the options and no block.
        machine.send({ op: 'ack', block: 0 }, transfer);
        while (turn === 0 && !seen.some(({ kind }) => kind === 'tftp-resending')) await machine.next();
      }
      assert.deepEqual(asked, ['1200', '512', '512']);
    },
    10,
    timing,
  );
});

test('a file from its own port, block size within the MTU, then the end is told', async () => {
  await withDoor(async (port, seen) => {
    const one = await client(port);
    one.send(
      read('\\snponly.efi', [
        ['blksize', '8192'],
        ['tsize', '0'],
      ]),
    );
    const oack = await one.next();
    assert.deepEqual(oack.packet, {
      op: 'oack',
      options: [
        ['blksize', '1248'],
        ['tsize', '1000'],
      ],
    });
    assert.notEqual(oack.port, port);
    one.send({ op: 'ack', block: 0 }, oack.port);
    const data = await one.next();
    assert.ok(data.packet.op === 'data' && data.packet.data.length === 1000);
    one.send({ op: 'ack', block: 1 }, oack.port);
    while (!seen.some(({ kind }) => kind === 'tftp-sent')) await new Promise(setImmediate);
    assert.match(seen.at(-1)!.detail!, /^snponly.efi: 1000 bytes in \d+ ms, 0 blocks again$/);
    one.close();
  });
});

test('unknown names and writing get their error at once; repeats and noise get nothing', async () => {
  await withDoor(async (port, _seen, counters) => {
    const one = await client(port);
    one.send(read('autoexec.ipxe'));
    assert.deepEqual((await one.next()).packet, { op: 'error', code: 1, message: 'no such file' });
    one.send(read('../../etc/passwd'));
    assert.deepEqual((await one.next()).packet, { op: 'error', code: 1, message: 'no such file' });
    one.send({ op: 'write', name: 'snponly.efi', mode: 'octet', options: [] });
    assert.deepEqual((await one.next()).packet, { op: 'error', code: 2, message: 'nothing can be written here' });
    one.send({ op: 'ack', block: 3 });
    one.send(read('snponly.efi'));
    one.send(read('snponly.efi'));
    const first = await one.next();
    assert.equal(first.packet.op, 'data');
    one.send({ op: 'error', code: 8, message: 'stop' }, first.port);
    one.send(read('nothing')); // answered after all of the above
    assert.equal((await one.next()).packet.op, 'error');
    const { started, refused, repeated, malformed } = counters() as Record<string, number>;
    assert.deepEqual({ started, refused, repeated, malformed }, { started: 1, refused: 4, repeated: 1, malformed: 1 });
    one.close();
  });
});

test('size probe frees its place; a stranger on the transfer port is not heard; too many are refused', async () => {
  await withDoor(async (port, seen) => {
    const one = await client(port);
    const two = await client(port);
    one.send(read('snponly.efi', [['tsize', '0']]));
    const oack = await one.next();
    two.send({ op: 'error', code: 0, message: 'not mine' }, oack.port);
    two.send(read('snponly.efi'));
    assert.deepEqual((await two.next()).packet, { op: 'error', code: 0, message: 'too many transfers' });
    one.send({ op: 'error', code: 8, message: 'User aborted the transfer' }, oack.port);
    while (!seen.some(({ kind }) => kind === 'tftp-probed')) await new Promise(setImmediate);
    two.send(read('snponly.efi'));
    assert.equal((await two.next()).packet.op, 'data');
    assert.ok(!seen.some(({ kind }) => kind === 'tftp-stopped'));
    one.close();
    two.close();
  }, 1);
});

test('an address that has filled the table gives way to one that has few transfers', async (t) => {
  await withDoor(async (port, seen, counters) => {
    const greedy = await Promise.all(Array.from({ length: 20 }, () => client(port)));
    t.after(() => {
      for (const one of greedy) one.close();
    });
    for (const one of greedy) one.send(read('snponly.efi', [['tsize', '0']]));
    for (const one of greedy) assert.equal((await one.next()).packet.op, 'oack');
    const more = await client(port);
    t.after(() => more.close());
    more.send(read('snponly.efi'));
    assert.equal((await more.next()).packet.op, 'error', 'it has many already');
    const other = await client(port, '127.0.0.2');
    t.after(() => other.close());
    other.send(read('snponly.efi'));
    assert.equal((await other.next()).packet.op, 'data');
    assert.equal((counters() as Record<string, number>).active, 20);
    assert.equal(seen.filter(({ why }) => why === 'gave-way').length, 1);
  }, 20);
});

test('a transfer that gives way before its socket is open is told as that', async (t) => {
  const listener = await bound();
  const seen: Seen[] = [];
  const opening = Promise.withResolvers<void>();
  const door = serveTftp({
    listener,
    interface: 'lo',
    mtu: 1280,
    files: new Map([['snponly.efi', file]]),
    openSocket: async () => {
      await opening.promise;
      return { socket: await bound() };
    },
    nowMs: looked(),
    onSeen: (one) => seen.push(one),
    maxTransfers: 9,
  });
  t.after(() => door.close());
  const { port } = listener.address();
  const greedy = await Promise.all(Array.from({ length: 9 }, () => client(port)));
  const other = await client(port, '127.0.0.2');
  t.after(() => {
    for (const one of [...greedy, other]) one.close();
  });
  for (const one of greedy) one.send(read('snponly.efi'));
  while (door.counters().active < 9) await new Promise(setImmediate);
  other.send(read('snponly.efi'));
  assert.equal((await other.next()).packet.op, 'error', 'there is no room yet');
  opening.resolve();
  while (!seen.some(({ kind }) => kind === 'tftp-stopped')) await new Promise(setImmediate);
  assert.deepEqual(
    seen.filter(({ kind }) => kind === 'tftp-stopped').map(({ why }) => why),
    ['gave-way'],
  );
});

test('a datagram without a port to answer to (RFC 768) costs nothing and ends nothing', async (t) => {
  const listener = await bound();
  const address = '127.0.0.1';
  let opened = 0;
  const door = serveTftp({
    listener,
    interface: 'lo',
    mtu: 1280,
    files: new Map([['snponly.efi', file]]),
    openSocket: async () => {
      opened += 1;
      return { socket: await bound() };
    },
    nowMs: looked(),
    onSeen: () => {},
  });
  t.after(() => door.close());
  for (const packet of [read('snponly.efi'), read('nothing'), { ...read('snponly.efi'), op: 'write' } as TftpPacket]) {
    const bytes = Buffer.from(encodeTftp(packet));
    listener.emit('message', bytes, { address, family: 'IPv4', port: 0, size: bytes.length });
  }
  assert.deepEqual(door.counters(), {
    started: 0,
    sent: 0,
    probed: 0,
    stopped: 0,
    refused: 0,
    repeated: 0,
    malformed: 3,
    active: 0,
  });
  assert.equal(opened, 0);
});

test('names as firmware writes them, and packed files are shared', () => {
  for (const name of ['boot/x.efi', '/boot/x.efi', '\\boot\\x.efi', '//boot\\x.efi'])
    assert.equal(tableName(name), 'boot/x.efi');
  const packed = new PackedFiles();
  assert.equal(packed.get('a', file, 512), packed.get('a', file, 512));
  assert.notEqual(packed.get('a', file, 512), packed.get('a', file, 1024));
  const other = new Uint8Array(file.length);
  const before = packed.get('a', file, 512);
  assert.notEqual(packed.get('a', other, 512), before, 'another file has got the name');
});

test('a block that is sent again and again is told while it lasts, and how far it came at the end', async (t) => {
  const hasty = { firstTimeoutMs: 2, floorMs: 2, ceilingMs: 4, patienceMs: 200 };
  await withDoor(
    async (port, seen) => {
      const one = await client(port);
      t.after(() => one.close());
      one.send(read('snponly.efi', [['blksize', '600']]));
      const oack = await one.next();
      one.send({ op: 'ack', block: 0 }, oack.port);
      while (!seen.some(({ kind }) => kind === 'tftp-stopped')) await new Promise((next) => setTimeout(next, 1));
      const [resending, stopped] = seen.filter(({ kind }) => kind !== 'tftp-started');
      const { again: early = 0 } = resending!;
      assert.deepEqual(
        [resending!.kind, resending!.done, resending!.total, resending!.blockSize],
        ['tftp-resending', 0, 2, 600],
      );
      assert.ok(early >= 3, String(early));
      assert.deepEqual([stopped!.why, stopped!.done, stopped!.blockSize], ['gave-up', 0, 600]);
      assert.ok(stopped!.again! > early);
    },
    10,
    hasty,
  );
});
