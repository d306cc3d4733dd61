// dnsmasq in Nixie's place. When this fails the lab is broken, and no other scenario's failure says anything about Nixie.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startBmc } from '../lab/bmc.ts';
import { printDhcp, readDhcpCapture, startCapture } from '../lab/capture.ts';
import { run, start } from '../lab/child.ts';
import { diskDigest } from '../lab/disk-digest.ts';
import { bootServer, foreignDhcp, routerOnly } from '../lab/foreign-dhcp.ts';
import { firmwareLab, needNetns, skipUnless } from '../lab/need.ts';
import { lan, makeNetwork, removeLeftovers, runId } from '../lab/net.ts';
import { type Firmware, Machine } from '../lab/qemu.ts';

const deadlineMs = 900_000;

function magicPacket(mac: string): string {
  return `Buffer.concat([Buffer.alloc(6, 255), ...Array(16).fill(Buffer.from('${mac.replaceAll(':', '')}', 'hex'))])`;
}

/** Sends one magic packet from the server's namespace, as Nixie must: from a socket bound to the interface's address. */
async function wake(inside: (argv: string[]) => string[], mac: string, to: string): Promise<void> {
  const code = `const s = require('node:dgram').createSocket('udp4'); s.bind(0, '${lan.nixie}', () => { s.setBroadcast(true);
    s.send(${magicPacket(mac)}, 9, '${to}', (e) => { s.close(); if (e) throw e; }); });`;
  await run(inside([process.execPath, '-e', code]));
}

const firmwares: { firmware: Firmware; mac: string; to: string }[] = [
  { firmware: 'uefi', mac: '52:54:00:77:00:01', to: '255.255.255.255' },
  { firmware: 'bios', mac: '52:54:00:77:00:02', to: `${lan.prefix}.255` },
  { firmware: 'http', mac: '52:54:00:77:00:03', to: '255.255.255.255' },
];

test('dnsmasq wakes and boots UEFI, BIOS and HTTP Boot machines up to a script', {
  skip: skipUnless(...firmwareLab),
  timeout: deadlineMs,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), `${runId()}-`));
  const net = await makeNetwork();
  const ends: (() => Promise<unknown>)[] = [];
  try {
    const tftp = join(folder, 'tftp');
    mkdirSync(tftp);
    for (const name of ['snponly.efi', 'undionly.kpxe']) copyFileSync(join('/usr/lib/ipxe', name), join(tftp, name));
    const script = join(folder, 'script.ipxe');
    writeFileSync(script, '#!ipxe\necho NIXIE-STAGE ipxe-script mac=$' + '{net0/mac}\nsleep 600\n');

    const requests: { path: string; method: string }[] = [];
    const server = fileURLToPath(new URL('../lab/file-server.ts', import.meta.url));
    const files = [`/script.ipxe=${script}`, `/snponly.efi=${join(tftp, 'snponly.efi')}`];
    const web = start(net.inside(net.srv, [process.execPath, server, '7480', ...files]), {
      deadlineMs,
      onLine: (line, from) => {
        if (from === 'out' && !line.includes('"ready"')) requests.push(JSON.parse(line));
      },
    });
    ends.push(() => web.stop());
    const base = `http://${lan.nixie}:7480`;
    const router = await routerOnly(net, { deadlineMs });
    ends.push(() => router.stop());
    const boot = await bootServer(net, {
      scriptUrl: `${base}/script.ipxe`,
      loaderUrl: `${base}/snponly.efi`,
      tftpRoot: tftp,
      deadlineMs,
    });
    ends.push(() => boot.stop());
    const capture = await startCapture(net, join(folder, 'lan.pcap'), { deadlineMs });
    ends.push(() => capture.stop());

    const machines: Machine[] = [];
    for (const [i, { firmware, mac }] of firmwares.entries()) {
      const machine = new Machine(
        net,
        { name: firmware, mac, firmware, bootOrder: 'disk-first', memoryMiB: 512, diskMiB: 64 },
        folder,
        `tap${i}`,
      );
      await net.addTap(machine.tap);
      await machine.prepare();
      machines.push(machine);
      ends.push(() => machine.close());
    }
    const bmc = await startBmc(net, machines, { deadlineMs });
    ends.push(() => bmc.stop());

    const blank = await diskDigest(machines[0]!.disk);
    for (const [i, machine] of machines.entries()) {
      assert.equal(machine.on, false, 'a machine is off until a packet wakes it');
      await wake((argv) => net.inside(net.srv, argv), machine.spec.mac, firmwares[i]!.to);
      const asked = requests.length;
      const line = await machine.waitSerial(/NIXIE-STAGE ipxe-script/, 270_000).catch((error: Error) => {
        throw new Error(
          `${error.message}\n${printDhcp(readDhcpCapture(capture.file))}\n${boot.lines.slice(-20).join('\n')}`,
        );
      });
      assert.match(line.text, new RegExp(`mac=${machine.spec.mac}`));
      const scripts = requests.slice(asked).filter((request) => request.path === '/script.ipxe');
      // Who waits too long for a packet asks for its script again.
      assert.deepEqual([...new Set(scripts.map((request) => request.method))], ['GET']);
      if (firmwares[i]!.firmware === 'http')
        assert.ok(
          requests.slice(asked).some((request) => request.path === '/snponly.efi' && request.method === 'HEAD'),
        );
      assert.match(await machine.monitor('info status'), /running/);
      await machine.powerOff();
      assert.equal(machine.on, false);
      assert.equal(machine.boots, 1);
      assert.equal(await diskDigest(machine.disk), blank);
      console.log(`${firmwares[i]!.firmware}: script after ${(line.ms / 1000).toFixed(1)} s`);
    }
    assert.equal(bmc.packets.filter((packet) => packet.woke).length, firmwares.length);

    await capture.stop();
    const packets = readDhcpCapture(capture.file);
    for (const { mac } of firmwares) {
      const offers = packets.filter((packet) => packet.mac === mac && packet.type === 'OFFER');
      assert.ok(offers.length > 0, `an offer to ${mac}`);
      assert.ok(offers.every((packet) => packet.serverId === lan.nixie));
    }
  } finally {
    for (const end of ends.reverse()) await end();
    await net.close();
    rmSync(folder, { recursive: true, force: true });
  }
  assert.equal((await run(['ip', 'netns', 'list'])).stdout.includes(net.id), false, 'no namespace is left');
});

test('the foreign DHCP server offers an address and no boot file', {
  skip: skipUnless(...firmwareLab),
  timeout: deadlineMs,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), `${runId()}-`));
  const net = await makeNetwork();
  const ends: (() => Promise<unknown>)[] = [];
  try {
    const dhcp = await foreignDhcp(net, { ra: true, deadlineMs });
    ends.push(() => dhcp.stop());
    const capture = await startCapture(net, join(folder, 'lan.pcap'), { deadlineMs });
    ends.push(() => capture.stop());
    const mac = '52:54:00:77:00:09';
    const machine = new Machine(
      net,
      { name: 'bios', mac, firmware: 'bios', bootOrder: 'disk-first', memoryMiB: 256, diskMiB: 64 },
      folder,
      'tap0',
    );
    await net.addTap('tap0');
    await machine.prepare();
    machine.powerOn();
    ends.push(() => machine.close());
    const giveUp = Date.now() + 300_000;
    let acks: ReturnType<typeof readDhcpCapture> = [];
    while (acks.length === 0 && Date.now() < giveUp) {
      await sleep(300);
      acks = readDhcpCapture(capture.file).filter((packet) => packet.mac === mac && packet.type === 'ACK');
    }
    assert.equal(acks[0]?.serverId, lan.foreignDhcp, dhcp.lines.slice(-10).join('\n'));
    assert.match(acks[0]?.yiaddr ?? '', /^10\.77\.0\.1\d\d$/);
    assert.equal(acks[0]?.file, '');
  } finally {
    for (const end of ends.reverse()) await end();
    await net.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('namespaces of a run whose process is gone are removed, those of a living one stay', {
  skip: skipUnless(needNetns),
  timeout: 300_000,
}, async () => {
  const net = await makeNetwork();
  const dead = `nxlab-${process.pid}-1-dead00-lan`; // our pid, but started at another time: a process that is gone
  try {
    await run(['ip', 'netns', 'add', dead]);
    // Another run beside this one may be the one that removes it.
    await removeLeftovers();
    const left = (await run(['ip', 'netns', 'list'])).stdout;
    assert.ok(!left.includes(dead));
    assert.ok(left.includes(net.srv));
  } finally {
    await run(['ip', 'netns', 'del', dead], { accept: true });
    await net.close();
  }
});
