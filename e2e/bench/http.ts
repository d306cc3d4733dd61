// `npm run bench -- http [--rounds N] [--megabytes N] [--json]`: one large file to 1, 8 and 32 clients at once, by Nixie's HTTP door (a child with the
// connection as its output; and, as it is without busybox, by Node alone) and by nginx with sendfile.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../lab/child.ts';
import { needPrograms } from '../lab/need.ts';
import type { HttpLoad, HttpResult } from './load-http.ts';
import { bench, benchOptions, makeRig, type Served, serveNixie, serverAddress, turns } from './rig.ts';
import { type HttpSettings, noise, ports } from './serve.ts';

const { rounds, json, sizes } = benchOptions({ megabytes: 512 });
const size = sizes.megabytes! << 20;
const crowds = [1, 8, 32] as const;
/** nginx with one worker, and with one for each core. */
type Way = 'child' | 'stream' | 'nginx' | 'nginx-auto';

interface Round {
  readonly cpuSecondsPerGb: number;
  readonly gbPerSecond: number;
}

await bench('http', { json, needs: [needPrograms(['nginx', 'busybox', 'curl'])] }, async (say) => {
  const rig = await makeRig('http');
  try {
    const file = join(rig.folder, 'file');
    const bytes = noise(size);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(file, bytes);
    for (const workers of ['1', 'auto'])
      writeFileSync(
        join(rig.folder, `nginx-${workers}.conf`),
        `daemon off; user root; worker_processes ${workers}; pid ${rig.folder}/nginx.pid; error_log stderr error; events { }
http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path ${rig.folder}/b; proxy_temp_path ${rig.folder}/p;
  fastcgi_temp_path ${rig.folder}/f; uwsgi_temp_path ${rig.folder}/u; scgi_temp_path ${rig.folder}/s;
  server { listen ${serverAddress}:${ports.http}; location /f/${sha256}/ { alias ${rig.folder}/; } } }
`,
      );
    const path = `/f/${sha256}/file`;
    const serve = (way: Way): Promise<Served> =>
      way === 'nginx' || way === 'nginx-auto'
        ? rig.serve([
            'nginx',
            '-c',
            join(rig.folder, way === 'nginx' ? 'nginx-1.conf' : 'nginx-auto.conf'),
            '-p',
            rig.folder,
            '-e',
            'stderr',
          ])
        : serveNixie(rig, 'http', { address: serverAddress, file, sha256, size, way } satisfies HttpSettings);
    const results = new Map<string, Round[]>();
    for (const turn of turns(rounds, ['child', 'nginx', 'nginx-auto', 'stream'] as Way[])) {
      for (const way of turn) {
        const served = await serve(way);
        try {
          const probe = [
            '-sf',
            '-o',
            '/dev/null',
            '-r',
            '0-0',
            '--retry',
            '50',
            '--retry-delay',
            '0',
            '--retry-connrefused',
          ];
          await run(rig.inside(rig.client, ['curl', ...probe, `http://${serverAddress}:${ports.http}${path}`]));
          for (const clients of crowds) {
            const load: HttpLoad = { server: { address: serverAddress, port: ports.http }, path, size, clients };
            const before = served.cpuSeconds();
            const { seconds, first, finished } = await rig.load<HttpResult>('load-http.ts', [JSON.stringify(load)]);
            const gb = (clients * size) / 1e9;
            const round = { cpuSecondsPerGb: (served.cpuSeconds() - before) / gb, gbPerSecond: gb / seconds };
            const key = `${way} ${clients}`;
            results.set(key, [...(results.get(key) ?? []), round]);
            say(
              `${key.padEnd(14)} ${round.cpuSecondsPerGb.toFixed(3)} s of CPU per GB, ${round.gbPerSecond.toFixed(2)} GB/s, first byte after at most ${(Math.max(...first) * 1000).toFixed(0)} ms, first of them done ÷ last ${(Math.min(...finished) / Math.max(...finished)).toFixed(2)}`,
            );
          }
        } finally {
          await served.stop();
        }
      }
    }
    say(
      `\n${sizes.megabytes} MiB from a tmpfs over veth, clients discard in the kernel; nginx: sendfile and tcp_nopush on, 1 worker and one for each core, no log; Nixie: busybox cat, and Node alone; ${rounds} rounds`,
    );
    const values = (way: Way, clients: number, what: keyof Round): number[] =>
      results.get(`${way} ${clients}`)!.map((round) => round[what]);
    return crowds.flatMap((clients) => [
      ...(['nginx', 'nginx-auto'] as const).map((peer) => ({
        figure: `to ${clients}, CPU s/GB`,
        values: values('child', clients, 'cpuSecondsPerGb'),
        peer,
        peerValues: values(peer, clients, 'cpuSecondsPerGb'),
        goal: 1.15,
      })),
      {
        figure: `to ${clients}, GB/s`,
        values: values('child', clients, 'gbPerSecond'),
        peer: 'nginx',
        peerValues: values('nginx', clients, 'gbPerSecond'),
        goal: 0.8,
        want: 'at least' as const,
      },
      {
        figure: `to ${clients}, Node alone, CPU s/GB`,
        values: values('stream', clients, 'cpuSecondsPerGb'),
        peer: 'nginx',
        peerValues: values('nginx', clients, 'cpuSecondsPerGb'),
        goal: clients === 1 ? 5 : clients === 8 ? 2.8 : 2.3, // alone there is nobody to share with
      },
    ]);
  } finally {
    await rig.close();
  }
});
