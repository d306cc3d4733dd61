// The real doors, the real scripts and the platform's iPXE on real firmware: how it understands what we say.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { firmwareLab, skipUnless } from '../lab/need.ts';
import { lan, makeNetwork } from '../lab/net.ts';
import { type Firmware, Machine } from '../lab/qemu.ts';
import type { DoorsArguments } from '../lab/sockets/doors.ts';
import { startTalker } from '../lab/sockets/talker.ts';

const deadlineMs = 1_200_000;
const doorsFile = new URL('../lab/sockets/doors.ts', import.meta.url).pathname;
const stations: readonly { firmware: Firmware; mac: string; address: string }[] = [
  { firmware: 'bios', mac: '52:54:00:93:00:01', address: `${lan.prefix}.61` },
  { firmware: 'uefi', mac: '52:54:00:93:00:02', address: `${lan.prefix}.62` },
];

test('too little memory is refused in words, enough is not, and a machine that is installed is sent to its disk', {
  skip: skipUnless(...firmwareLab),
  timeout: deadlineMs,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-script-'));
  const net = await makeNetwork();
  const ends: (() => Promise<unknown>)[] = [
    async () => {
      await net.close();
      rmSync(folder, { recursive: true, force: true });
    },
  ];
  try {
    const given: DoorsArguments = {
      interfaces: [{ name: 'eth0', address: lan.nixie, dhcp: 'range' }],
      machines: Object.fromEntries(stations.map(({ mac, address }) => [mac, address])),
      loaders: { 'snponly.efi': '/usr/lib/ipxe/snponly.efi', 'undionly.kpxe': '/usr/lib/ipxe/undionly.kpxe' },
      installerNeeds: 1 << 30,
    };
    const argv = net.inside(net.srv, [process.execPath, doorsFile, JSON.stringify(given)]);
    const doors = await startTalker(argv, deadlineMs);
    ends.push(() => doors.stop());

    for (const [index, { firmware, mac }] of stations.entries()) {
      await t.test(firmware, async () => {
        const boot = async (memoryMiB: number, line: RegExp): Promise<Machine> => {
          const name = `${firmware}-${memoryMiB}-${line.source.length}`;
          const spec = { name, mac, firmware, bootOrder: 'disk-first' as const, memoryMiB, diskMiB: 64 };
          const machine = new Machine(net, spec, folder, `tap${index}`);
          await net.addTap(machine.tap);
          await machine.prepare();
          try {
            machine.powerOn(320_000);
            await machine.waitSerial(line, 300_000);
          } finally {
            await machine.close();
            await net.removeTap(machine.tap);
          }
          return machine;
        };
        await boot(512, /this machine has 512 MiB of memory, the installer needs 1024 MiB/);
        if (firmware === 'uefi') await boot(1024, /Nixie: try 1 failed/); // the kernel is not there
      });
    }
    await t.test('from its disk', async () => {
      await doors.ask({ do: 'offer', offer: 'local' });
      const { mac } = stations[0]!;
      // The firmware's own iPXE asks and is sent to the disk, which is blank here.
      const spec = {
        name: 'local',
        mac,
        firmware: 'bios' as const,
        bootOrder: 'network-first' as const,
        memoryMiB: 512,
        diskMiB: 64,
      };
      const machine = new Machine(net, spec, folder, 'tap9');
      await net.addTap(machine.tap);
      await machine.prepare();
      try {
        machine.powerOn(320_000);
        await machine.waitSerial(/boots from its own disk/, 300_000);
        await machine.waitSerial(/Boot(ing)? from (SAN device|Hard Disk)|Boot failed/i, 300_000);
      } finally {
        await machine.close();
      }
      assert.ok(!machine.serial.some(({ text }) => text.includes('boots the installer')));
    });
  } finally {
    for (const end of ends.reverse()) await end();
  }
});
