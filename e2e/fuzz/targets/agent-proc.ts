// Texts of the kernel and of tools that are read on a machine, by the agent and by the controller.
import { readHostKey } from '../../../agent/src/host-key.ts';
import { readWwn } from '../../../agent/src/inventory/disk-identity.ts';
import { readMountInfo } from '../../../agent/src/inventory/mount-info.ts';
import { readPermanent } from '../../../agent/src/inventory/nics.ts';
import { cleanText, countList, readBiosDate, readUuid, withoutPlaceholder } from '../../../agent/src/inventory/text.ts';
import { readJournalLine } from '../../../agent/src/journal-line.ts';
import { readKernelRecord } from '../../../agent/src/kmsg.ts';
import { cleanLine } from '../../../agent/src/log-text.ts';
import { readMounts } from '../../../agent/src/mounts.ts';
import { loginProcesses, type Process, readStat } from '../../../agent/src/processes.ts';
import { readPartitions, readUdevFormat } from '../../../agent/src/progress.ts';
import { cryptNames, swapDevices } from '../../../agent/src/reset-disks.ts';
import { cleanLine as cleanLineHere } from '../../../controller/src/listen/log-line.ts';
import { inodesOfPort } from '../../../controller/src/listen/port-holder.ts';
import { sudoUser } from '../../../controller/src/nix/operator.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

export const target: Target = {
  name: 'agent-proc',
  seeds: [
    '/dev/sda1 /mnt ext4 rw 0 0\ntmpfs /mnt/a\\040b tmpfs rw 0 0\n',
    '36 35 98:0 /m /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n40 1 0:30 / /a rw - zfs tank\\040x rw\n',
    '1 (sshd) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 100 1 1\n2 (a) b) S 1 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 200 1 1\n',
    'Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n/dev/zram0 partition 1 0 100\n',
    'luks-a\t(254:0)\nluks-b (254, 1)\n',
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n 0: 00000000:0043 00000000:0000 07 0:0 0:0 0 0 0 12345 2\n',
    '[{"ifname":"eth0","permaddr":"52:54:00:77:00:01"}]',
    '{"MESSAGE":"hi","_PID":"5","__REALTIME_TIMESTAMP":"1700000000000000","_TRANSPORT":"kernel"}',
    '{"MESSAGE":[104,105,27],"SYSLOG_IDENTIFIER":"x"}',
    '{"__CURSOR":"s=1;i=2","MESSAGE":"cut \\u00fc',
    '6,339,5140900,-;NET: gr\\xc3\\xbcn\n SUBSYSTEM=net',
    `ssh-ed25519 ${'A'.repeat(68)} root@installer\n`,
    'naa.5000c500a1b2c3d4\n03000200-0400-0500-0006-000700080009\n12/31/99\n0-3,8\nDefault string',
    'major minor  #blocks  name\n\n 8 1 100 sda1\n 259 2 200 nvme0n1p2\n',
    'S:disk/by-id/x\nE:ID_FS_TYPE=ext4\nE:ID_FS_UUID=1-2\n',
    'op:x:1000:100:Op:/home/op:/bin/sh\n',
  ].map(bytesOf),
  dictionary: [
    '\\040',
    '\\777',
    ' - ',
    '(',
    ')',
    '\0',
    '\u00ff',
    '\u001b[',
    '\u001b]',
    '"MESSAGE":',
    '"_PID":',
    'eui.',
    '4294967295',
    '/dev/zram',
    ':x:',
  ],
  allowed: [],
  run(bytes) {
    const said = text(bytes);
    readMounts(said);
    readMountInfo(said, said);
    cryptNames(said);
    swapDevices(said);
    readPartitions(said);
    readUdevFormat(said);
    readPermanent(said);
    readHostKey(said);
    sudoUser({ SUDO_USER: 'op' }, said);
    for (const protocol of ['udp', 'tcp'] as const) inodesOfPort(said, 67, protocol);
    const processes: Process[] = [];
    for (const line of said.split('\n')) {
      const found = readStat(line);
      if (found !== undefined) processes.push(found);
      readJournalLine(line, 5);
      readKernelRecord(line);
      readWwn(line);
      readUuid(line);
      readBiosDate(line);
      countList(line);
      withoutPlaceholder(cleanText(line));
      const [theirs, ours] = [cleanLine(line), cleanLineHere(line)];
      must(theirs === ours, 'agent and controller clean lines alike');
      must(Buffer.byteLength(ours) <= 8192 && !/[\x00-\x1f\x7f]/.test(ours), 'a clean line is bounded');
    }
    loginProcesses(processes.slice(0, 200), 1);
  },
};
