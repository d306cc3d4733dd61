// What systemd does for nixie.service: opens the sockets of its socket units, and starts the doors with them as somebody without any right.
// Arguments: places as JSON, those of the doors.
import { spawn } from 'node:child_process';
import { openUdpDescriptor, openUdpPair, type UdpPlace } from '../../../controller/src/listen/udp.ts';

const [places = '', given = ''] = process.argv.slice(2);
const descriptors = (JSON.parse(places) as readonly UdpPlace[]).flatMap((place) => {
  if (place.address === '0.0.0.0') return [openUdpDescriptor(place)];
  const { any, own } = openUdpPair(place);
  return [any, own];
});
const user = ['--reuid', '61000', '--regid', '61000', '--clear-groups', '--no-new-privs', '--bounding-set=-all'];
// The variable names the process that is to have them.
const program = [
  'sh',
  '-c',
  'LISTEN_PID=$$ exec "$@"',
  'sh',
  process.execPath,
  `${import.meta.dirname}/doors.ts`,
  given,
];
const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...user, ...program], {
  stdio: ['inherit', 'inherit', 'inherit', ...descriptors],
  env: { ...process.env, LISTEN_FDS: String(descriptors.length) },
});
child.on('exit', (code) => process.exit(code ?? 1));
process.on('SIGTERM', () => child.kill('SIGTERM'));
