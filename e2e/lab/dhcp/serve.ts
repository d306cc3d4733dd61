// Runs the real DHCP doors in this namespace by the scene in the first argument, also at the addresses in the second. Ended by the end of its input.
import type { Scene } from '../../../controller/src/answer/scene.ts';
import { startBootServer } from '../../../controller/src/listen/boot-server.ts';
import { chooseInterfaces, listInterfaces } from '../../../controller/src/listen/interfaces.ts';
import { watchRelayRoutes } from '../../../controller/src/listen/relay-routes.ts';

const scene = JSON.parse(process.argv[2]!) as Scene;
const alsoAt = JSON.parse(process.argv[3] ?? '[]') as { name: string; address: string }[];
const say = (line: object): void => console.log(JSON.stringify(line));
const all = listInterfaces();
const interfaces = Object.values(scene.interfaces).flatMap(({ name, address }) =>
  chooseInterfaces(all, { interfaces: [name], address }),
);
const routes = watchRelayRoutes({ onSeen: (seen) => say({ seen }), ticks: () => performance.now() });
const server = await startBootServer({
  scene,
  loaderFiles: new Map([['snponly.efi', new Uint8Array(1000)]]),
  interfaces,
  alsoAt,
  onSeen(seen) {
    say({ seen });
    routes(seen);
  },
  onFailure: (error) => {
    say({ failure: error.message });
    process.exit(1);
  },
});
say({ ready: true });
process.stdin.resume().on('end', async () => {
  await server.close();
  process.exit(0);
});
