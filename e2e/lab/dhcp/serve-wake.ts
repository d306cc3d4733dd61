// Sends magic packets for a MAC from this namespace. Arguments: MAC, JSON of the interfaces, JSON of the networks beyond routers.
import { type WakeBeyond, type WakeFrom, wake } from '../../../controller/src/listen/wake.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';

const [mac = '', links = '[]', beyond = '[]'] = process.argv.slice(2);
const report = await wake(mac as Mac, JSON.parse(links) as WakeFrom[], { beyond: JSON.parse(beyond) as WakeBeyond[] });
console.log(JSON.stringify(report));
