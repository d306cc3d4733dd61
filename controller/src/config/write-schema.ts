// `node controller/src/config/write-schema.ts`: writes hosts.schema.json from the validator.
import { writeFileSync } from 'node:fs';
import { hostsJsonSchema } from './hosts-schema.ts';

writeFileSync(new URL('../../hosts.schema.json', import.meta.url), hostsJsonSchema());
