// BootPlan as it comes over the uplink, up to the scene and the scripts that a relay makes of it.
import { BootPlan, DhcpMode, PlanOffer } from '@nixie/proto/relay';
import { bootFileProblems } from '../../../controller/src/answer/bootfile.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { parseMac } from '../../../controller/src/machine/mac.ts';
import { Loads } from '../../../controller/src/relay/loads.ts';
import { readPlan, sceneOf } from '../../../controller/src/relay/plan.ts';
import { Scripts } from '../../../controller/src/relay/scripts.ts';
import { must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

const links = [{ name: 'lan0', address: '10.9.0.1', prefixLength: 24 }];
const file = (digit: string) => ({ sha256: digit.repeat(64), bytes: 5000n });
const whole = BootPlan.fromPartial({
  version: 7n,
  fingerprint: 'c'.repeat(64),
  interfaces: [
    { name: 'lan0', dhcp: DhcpMode.DHCP_MODE_RANGE, router: '10.9.0.254', dns: ['10.9.0.53'], leaseSeconds: 600 },
  ],
  machines: [
    {
      name: 'm1',
      system: 'x86_64-linux',
      offer: PlanOffer.PLAN_OFFER_INSTALLER,
      boot: ['console=ttyS0'],
      cards: [{ mac: '52:54:00:00:00:01', address: '10.9.0.100', tokens: ['1'.repeat(32)] }],
    },
  ],
  installers: [
    { system: 'x86_64-linux', kernel: file('a'), initrd: file('b'), kernelParams: ['init=/i'], needsBytes: 9n },
  ],
  loaders: [{ firmware: 'x64', name: 'snponly.efi', file: file('d') }],
  ahead: [file('a')],
});

export const target: Target = {
  name: 'relay-plan',
  seeds: [BootPlan.encode(whole).finish(), BootPlan.encode(BootPlan.fromPartial({ version: 1n })).finish()],
  dictionary: ['aarch64-linux', 'bios', '52:54:00:00:00:02', '10.9.0.101', '../', '$' + '{x}', '0'.repeat(32)],
  allowed: [WireError],
  run(bytes) {
    const read = readPlan(decoded(BootPlan, bytes));
    if ('problems' in read) {
      must(read.problems.length > 0, 'a plan that is refused says why');
      return;
    }
    const { plan } = read;
    const here = new Set(plan.loaders.map(({ name }) => name));
    const scene = sceneOf(plan, links, { here, stale: false, httpPort: 7480 });
    must(bootFileProblems(scene).length === 0, 'firmware can take each boot file');
    for (const [mac, name] of Object.entries(scene.machineOfMac)) {
      must(parseMac(mac) === mac, 'each MAC is one');
      must(scene.machines[name] !== undefined, 'each MAC has its machine');
    }
    const stale = sceneOf(plan, links, { here, stale: true, httpPort: 7480 });
    must(
      Object.values(stale.machines).every(({ offer }) => offer !== 'installer'),
      'an old plan offers no installer',
    );
    for (const mac of plan.machineOfMac.keys()) ask(plan, mac);
  },
};

function ask(plan: Parameters<Scripts['take']>[0], mac: Mac): void {
  const given: string[] = [];
  const scripts = new Scripts({
    stale: () => false,
    loads: new Loads(() => 0),
    macAt: () => mac,
    httpPort: 7480,
    agentPort: 7481,
    ticks: () => 0,
    now: () => 0,
    say: ({ token }) => {
      if (token !== '') given.push(token);
    },
    told() {},
  });
  scripts.take(plan);
  for (let tries = 0; tries < 3; tries++) {
    const answer = scripts.answer({ mac, remoteAddress: '10.9.0.100', localAddress: '10.9.0.1' });
    must('refuse' in answer || answer.script.startsWith('#!ipxe\n'), 'a script is one');
  }
  must(new Set(given).size === given.length, 'a token is given once');
}
