// The journal of a run, as the doctor reads it after a crash, an edit or a full disk.
import { diagnosisLines } from '../../../controller/src/cli/doctor-lines.ts';
import { causes } from '../../../controller/src/doctor/causes.ts';
import { diagnose } from '../../../controller/src/doctor/diagnose.ts';
import { readTrailLog } from '../../../controller/src/store/trail-log.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const at = '"at":"2026-01-01T00:00:00.000Z"';
const entry = (more: string) =>
  `{${at},"host":"web1","trail":{"kind":"dhcp-answered","attempt":1,"first":1767225600000,"last":1767225609000,"count":2,${more}}}\n`;

export const target: Target = {
  name: 'trail-log',
  seeds: [
    bytesOf(
      `{${at},"run":"begins"}\n{${at},"host":"web1","happening":"begin","stage":"waking"}\n${entry('"asked":"DISCOVER","client":"pxe","port":67,"why":"proxy offer","detail":"snponly.efi"')}{${at},"host":"web1","stage":"failed","reason":"no"}\n`,
    ),
    bytesOf(
      `${entry('"asked":"DISCOVER","client":"ipxe"')}{${at},"trail":{"kind":"listening","attempt":0,"first":1,"last":2,"count":1,"why":"yes"}}\n{${at},"host":"we`,
    ),
    bytesOf(
      entry('"client":"pxe"')
        .replace('dhcp-answered', 'tftp-stopped')
        .replace('"count":2', '"count":2,"done":0,"total":9,"blockSize":1468,"again":5'),
    ),
  ],
  dictionary: [
    '"tftp-stopped"',
    '"file-sent"',
    '"http-script"',
    '"agent-down"',
    '"stage":"proving"',
    '"stage":"rebooting"',
    '"done":-1',
    '1e308',
    'null',
    '"other-offer"',
    '"why":"address and boot file"',
  ],
  maxBytes: 64 * 1024,
  allowed: [],
  run(bytes) {
    const { trails, last } = readTrailLog([text(bytes)]);
    for (const trail of trails.values()) {
      const told = diagnose(trail, last);
      must(
        told.findings.every(({ id, evidence }) => Object.hasOwn(causes, id) && evidence.length > 0),
        'each finding is of the list, and shown by something',
      );
      for (const line of diagnosisLines(told, (_colour, words) => words))
        must(!/[\n\u001b]/.test(line), 'each line is one line');
    }
  },
};
