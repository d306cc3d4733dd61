// Hears the offers of other servers on an interface, as a controller does, and says each; ended by a signal. Arguments: interface, own address.
import { hearOtherServers } from '../../../controller/src/listen/other-servers.ts';

const [name = '', address = ''] = process.argv.slice(2);
const say = (line: object): void => console.log(JSON.stringify(line));
hearOtherServers({
  interfaces: [{ name, address }],
  onSeen: (seen) => say({ seen }),
  onListening: (_name, whyNot) => say({ ready: true, whyNot }),
});
