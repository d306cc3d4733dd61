// dnsmasq, nginx and a shell script in Nixie's place: the same kernel, initrd, store paths, disko and install on the same machine.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, start } from '../lab/child.ts';
import { bootServer, type DhcpServer } from '../lab/foreign-dhcp.ts';
import type { Lab } from '../lab/lab.ts';
import { lan } from '../lab/net.ts';
import type { Supplies } from '../lab/supplies.ts';

/** Paths as the lab's store names them, and as the host sees them. */
export interface BuiltLab {
  readonly kernel: string;
  readonly initrd: string;
  readonly kernelParams: string;
  readonly init: string;
  /** In the store. */
  readonly disko: string;
  readonly toplevel: string;
}

export const peerAddress = `${lan.prefix}.150`;
const script = fileURLToPath(new URL('./peer-install.sh', import.meta.url));

export interface Peer {
  /** Runs the install; resolves with Date.now() of each stage when the machine says that it runs the system. */
  install(supplies: Supplies, built: BuiltLab): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

function nginxConf(folder: string): string {
  return `daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr error;
events { }
http { access_log off; sendfile on; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi; server { listen 80; root ${folder}/www; } }
`;
}

export async function startPeer(lab: Lab, supplies: Supplies, built: BuiltLab, deadlineMs: number): Promise<Peer> {
  const folder = join(lab.folder, 'peer');
  for (const name of ['www', 'tftp']) mkdirSync(join(folder, name), { recursive: true, mode: 0o755 });
  for (const name of ['snponly.efi', 'undionly.kpxe'])
    copyFileSync(join('/usr/lib/ipxe', name), join(folder, 'tftp', name));
  copyFileSync(built.kernel, join(folder, 'www/kernel'));
  copyFileSync(built.initrd, join(folder, 'www/initrd'));
  const key = Buffer.from(`${readFileSync(`${supplies.keyFile}.pub`, 'utf8').trim()}\n`).toString('base64');
  const words = `initrd=initrd init=${built.init} ${built.kernelParams} nixie.lab_key=${key}`;
  const base = `http://${lan.nixie}`;
  writeFileSync(
    join(folder, 'www/boot.ipxe'),
    `#!ipxe\nkernel ${base}/kernel ${words}\ninitrd --name initrd ${base}/initrd\nboot\n`,
  );
  writeFileSync(join(folder, 'nginx.conf'), nginxConf(folder));
  const web: Child = start(lab.net.inside(lab.net.srv, ['nginx', '-c', join(folder, 'nginx.conf'), '-p', folder]), {
    deadlineMs,
  });
  let dhcp: DhcpServer;
  try {
    dhcp = await bootServer(lab.net, {
      scriptUrl: `${base}/boot.ipxe`,
      loaderUrl: `${base}/snponly.efi`,
      tftpRoot: join(folder, 'tftp'),
      fixed: Object.values(lab.machines).map((machine) => `${machine.spec.mac},${peerAddress}`),
      deadlineMs,
    });
  } catch (error) {
    await web.stop();
    throw error;
  }
  return {
    async install() {
      const stages: Record<string, number> = {};
      const words: string[] = [];
      const argv = supplies.nix(['bash', script, peerAddress, supplies.keyFile, built.disko, built.toplevel]);
      const child = start(lab.net.inside(lab.net.srv, argv.argv), {
        deadlineMs,
        env: { ...process.env, ...argv.env },
        onLine: (line) => {
          const stage = /^STAGE (\S+)$/.exec(line)?.[1];
          if (stage !== undefined) stages[stage] = Date.now();
          else words.push(line);
        },
      });
      const exit = await child.exited;
      if (exit.code !== 0) throw new Error(`peer-install.sh ended with ${exit.code}:\n${words.slice(-20).join('\n')}`);
      return stages;
    },
    async stop() {
      await dhcp.stop();
      await web.stop();
    },
  };
}
