// An inventory as JSON: what an operator kept, or got from somebody.
import { readRecorded } from '../../../controller/src/config/recorded-inventory.ts';
import { readInventoryJson, writeInventoryJson } from '../../../proto/inventory-json.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

export const target: Target = {
  name: 'inventory-json',
  seeds: [
    '{"schema_version":1,"agent_version":"0.1.0","collected_in_ms":7,"disks":[{"name":"sda","path":"/dev/sda","size_bytes":9007199254740993}],"nics":[],"errors":[]}',
    '{"boot":{"boot_id":"x","uptime_ms":8250,"entries":[{"number":2,"active":true}]},"memory":{"modules":[{"fitted":false}]},"tpm":{"present":true,"pcr_banks":["sha256"]}}',
  ].map(bytesOf),
  dictionary: [
    '"size_bytes":',
    '"disks":[',
    '"optional":',
    '__proto__',
    'null',
    '18446744073709551615',
    '-1',
    '1.5',
    '"1"',
    '[]',
    '{}',
  ],
  allowed: [SyntaxError, TypeError],
  maxBytes: 1 << 16,
  run(bytes) {
    try {
      must(readRecorded('/f', () => bytes).schemaVersion === 1, 'what an operator recorded has a version');
    } catch (error) {
      if (!/^read recorded inventory \/f: /.test((error as Error).message)) throw error;
    }
    const read = readInventoryJson(text(bytes));
    const written = writeInventoryJson(read, 0);
    must(writeInventoryJson(readInventoryJson(written), 0) === written, 'what was written is read back');
  },
};
