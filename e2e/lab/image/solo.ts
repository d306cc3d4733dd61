// A machine without network firmware or a controller: QEMU loads kernel and initrd itself, and its user network forwards one port of this
// computer to the machine's sshd. For trying the images alone.
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, run, start } from '../child.ts';

export interface SoloOptions {
  /** keeps disk and NVRAM between boots */
  folder: string;
  firmware: 'uefi' | 'bios';
  /** of 127.0.0.1 */
  sshPort: number;
  diskSerial: string;
  /** what to boot; the disk without it */
  kernel?: { kernel: string; initrd: string; words: string };
  /** files that the machine sees as further disks, in this order behind its own: /dev/vdb, /dev/vdc …; it can't write to them */
  readOnlyDisks?: readonly string[];
  /** a file that the machine reaches over two ways, as LUN 0 of two SCSI controllers: /dev/sda and /dev/sdb */
  lun?: string;
  /** further cards by their MACs; those of one list are on a LAN of their own, on which nobody else is */
  lans?: readonly (readonly string[])[];
  deadlineMs: number;
}

export interface Solo {
  child: Child;
  serial: string[];
  /** milliseconds from power-on to a serial line that matches; fails at the time limit or when the machine is off */
  seen(pattern: RegExp, limitMs: number): Promise<number>;
}

const ovmf = '/usr/share/OVMF';

/** What every such machine is made of, beside its disk. */
export const soloHardware = {
  vendor: 'Nixie',
  product: 'Solo machine',
  serial: 'SOLO-0001',
  uuid: '6f6c6f73-0001-4000-8000-525400505000',
  mac: '52:54:00:50:50:01',
  memoryBytes: 1536 * 2 ** 20,
  threads: 2,
  sockets: 2,
  diskBytes: 4 * 2 ** 30,
} as const;

/** Of `lun`. */
export const soloLun = { wwn: '0x600140500000a1b2', serial: 'LUN-0001' } as const;

/** Powers a machine on; its folder gets a blank 4 GiB disk when it has none. A reboot ends it. */
export async function powerOn(options: SoloOptions): Promise<Solo> {
  const { folder, firmware, kernel } = options;
  const disk = join(folder, 'disk.raw');
  if (!existsSync(disk)) await run(['truncate', '-s', String(soloHardware.diskBytes), disk]);
  const argv = ['timeout', '-k', '2', String(Math.ceil(options.deadlineMs / 1000)), 'qemu-system-x86_64'];
  argv.push('-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'max', '-display', 'none');
  const { vendor, product, serial: serialNumber, uuid, mac, memoryBytes, threads, sockets } = soloHardware;
  argv.push('-smp', `${threads},sockets=${sockets}`, '-m', String(memoryBytes / 2 ** 20), '-uuid', uuid);
  argv.push('-smbios', `type=1,manufacturer=${vendor},product=${product},serial=${serialNumber}`);
  argv.push('-serial', 'stdio', '-no-user-config', '-nodefaults', '-no-reboot', '-device', 'virtio-rng-pci');
  argv.push('-machine', firmware === 'uefi' ? 'q35' : 'q35,graphics=off');
  if (firmware === 'uefi') {
    const vars = join(folder, 'vars.fd');
    if (!existsSync(vars)) copyFileSync(join(ovmf, 'OVMF_VARS_4M.fd'), vars);
    argv.push('-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${join(ovmf, 'OVMF_CODE_4M.fd')}`);
    argv.push('-drive', `if=pflash,format=raw,unit=1,file=${vars}`);
  }
  argv.push('-netdev', `user,id=n0,hostfwd=tcp:127.0.0.1:${options.sshPort}-:22`);
  argv.push('-device', `virtio-net-pci,netdev=n0,mac=${mac},romfile=`);
  for (const [lan, macs] of (options.lans ?? []).entries())
    for (const [i, each] of macs.entries()) {
      const id = `l${lan}c${i}`;
      argv.push(
        '-netdev',
        `hubport,id=${id},hubid=${lan}`,
        '-device',
        `virtio-net-pci,netdev=${id},mac=${each},romfile=`,
      );
    }
  argv.push('-drive', `if=none,id=d0,format=raw,cache=unsafe,file=${disk}`);
  argv.push('-device', `virtio-blk-pci,drive=d0,serial=${options.diskSerial},bootindex=1`);
  for (const [i, file] of (options.readOnlyDisks ?? []).entries()) {
    argv.push('-drive', `if=none,id=r${i},format=raw,readonly=on,file=${file}`);
    argv.push('-device', `virtio-blk-pci,drive=r${i},serial=READ${i}`);
  }
  if (options.lun !== undefined)
    for (const way of [0, 1]) {
      argv.push('-drive', `if=none,id=l${way},format=raw,cache=unsafe,file.locking=off,file=${options.lun}`);
      argv.push('-device', `virtio-scsi-pci,id=s${way}`, '-device');
      argv.push(`scsi-hd,bus=s${way}.0,drive=l${way},share-rw=on,wwn=${soloLun.wwn},serial=${soloLun.serial}`);
    }
  if (kernel) argv.push('-kernel', kernel.kernel, '-initrd', kernel.initrd, '-append', kernel.words);

  const poweredOn = performance.now();
  const serial: string[] = [];
  const times: number[] = [];
  let changed = (): void => {};
  let off = false;
  const child = start(argv, {
    deadlineMs: options.deadlineMs + 10_000,
    onLine(line) {
      serial.push(line);
      times.push(performance.now() - poweredOn);
      changed();
    },
  });
  const end = (): void => {
    off = true;
    changed();
  };
  child.exited.then(end, end);
  return {
    child,
    serial,
    async seen(pattern, limitMs) {
      const until = performance.now() + limitMs;
      for (let next = 0; ; ) {
        for (; next < serial.length; next++) if (pattern.test(serial[next]!)) return times[next]!;
        const left = until - performance.now();
        if (off || left <= 0) {
          throw new Error(
            `${off ? 'off' : `${limitMs} ms`} before ${pattern}; serial:\n${serial.slice(-25).join('\n')}`,
          );
        }
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left);
          changed = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
  };
}
