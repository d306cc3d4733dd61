// What systemd does for nixie.service: opens the sockets of its socket units, and starts a program of Node with them. Arguments: places as JSON,
// `nobody` for somebody without any right, else `root`; then the program's.
import { spawn } from 'node:child_process';
import { openUdpDescriptor, openUdpPair, type UdpPlace } from '../../../controller/src/listen/udp.ts';

const [places = '', who = '', ...program] = process.argv.slice(2);
const descriptors = (JSON.parse(places) as readonly UdpPlace[]).flatMap((place) => {
  if (place.address === '0.0.0.0') return [openUdpDescriptor(place)];
  const { any, own } = openUdpPair(place);
  return [any, own];
});
const nobody = ['--reuid', '61000', '--regid', '61000', '--clear-groups', '--no-new-privs', '--bounding-set=-all'];
// The variable names the process that is to have them.
const named = ['sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, ...program];
const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...(who === 'nobody' ? nobody : []), ...named], {
  stdio: ['inherit', 'inherit', 'inherit', ...descriptors],
  env: { ...process.env, LISTEN_FDS: String(descriptors.length) },
});
child.on('exit', (code) => process.exit(code ?? 1));
process.on('SIGTERM', () => child.kill('SIGTERM'));
