import assert from 'node:assert/strict';
import test from 'node:test';
import type { Scene } from '../answer/scene.ts';
import type { Mac } from '../machine/mac.ts';
import { warmUp } from './warm-up.ts';

const pause = async () => true;
const machine = (n: number) => ({ name: `m${n}`, mac: `52:54:00:00:00:${n.toString(16).padStart(2, '0')}` as Mac });
function sceneOf(count: number, dhcp: 'proxy' | 'range' | 'off', system: 'x86_64-linux' | 'aarch64-linux'): Scene {
  const machines = Array.from({ length: count }, (_, n) => machine(n));
  return {
    interfaces: {
      lan0: { name: 'lan0', address: '10.0.0.1', prefixLength: 24, dhcp, dns: [], leaseSeconds: 3600 },
    },
    machineOfMac: Object.fromEntries(machines.map(({ name, mac }) => [mac, name])),
    machines: Object.fromEntries(
      machines.map(({ name, mac }, n) => [
        name,
        { name, offer: 'silent', system, addresses: dhcp === 'range' ? { [mac]: `10.0.0.${n + 2}` } : {} },
      ]),
    ),
    loaders: { x64: 'snponly.efi', arm64: 'snponly-arm64.efi' },
    httpPort: 7480,
  };
}

test('what firmware, iPXE and installer ask is answered, to nobody, with pauses, and the scene stays as it is', async () => {
  for (const system of ['x86_64-linux', 'aarch64-linux'] as const) {
    const scene = sceneOf(40, 'range', system);
    const before = structuredClone(scene);
    let pauses = 0;
    const answered = await warmUp({
      scene,
      pause: async () => {
        pauses += 1;
        return true;
      },
      messages: 1000,
    });
    assert.deepEqual([answered, pauses], [1000, 50]);
    assert.deepEqual(scene, before);
  }
  // Beside another server the installer is told nothing, and firmware only what to boot; its REQUEST here names us.
  const proxied = await warmUp({ scene: sceneOf(2, 'proxy', 'x86_64-linux'), pause, messages: 800 });
  assert.equal(proxied, 600);
});

test('it ends when machines have come', async () => {
  let pauses = 0;
  const pause = async () => ++pauses < 3;
  assert.equal(await warmUp({ scene: sceneOf(250, 'range', 'x86_64-linux'), pause }), 41);
});

test('as much as the machines are worth', async () => {
  assert.equal(await warmUp({ scene: sceneOf(3, 'range', 'x86_64-linux'), pause }), 120);
  assert.equal(await warmUp({ scene: sceneOf(250, 'range', 'x86_64-linux'), pause }), 8000);
});

test('where there is nobody to answer it ends at once', async () => {
  const never = async (): Promise<boolean> => assert.fail('nothing to do');
  assert.equal(await warmUp({ scene: sceneOf(0, 'range', 'x86_64-linux'), pause: never }), 0);
  assert.equal(await warmUp({ scene: { ...sceneOf(3, 'range', 'x86_64-linux'), interfaces: {} }, pause: never }), 0);
  const off = await warmUp({ scene: sceneOf(3, 'off', 'x86_64-linux'), pause, messages: 100 });
  assert.equal(off, 0);
});
