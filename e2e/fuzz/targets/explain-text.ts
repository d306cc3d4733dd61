import { explainFile } from '../../../controller/src/explain/explain.ts';
import { readInput, UnknownInput } from '../../../controller/src/explain/input.ts';
import { readTextInput } from '../../../controller/src/explain/text-input.ts';
import { dhcpSeeds } from '../seeds.ts';
import { bytesOf, must, type Target, text as textOf } from '../target.ts';

const [raw = new Uint8Array(0)] = dhcpSeeds(1);
const hex = Buffer.from(raw).toString('hex');
const dump = (hex.match(/.{1,32}/g) ?? [])
  .slice(0, 24)
  .map((line, index) => `${(index * 16).toString(16).padStart(8, '0')}: ${line.replace(/(.{4})/g, '$1 ')} ....`)
  .join('\n');

export const target: Target = {
  name: 'explain-text',
  seeds: [
    bytesOf(hex),
    bytesOf(`# comment\n0x${hex.slice(0, 80)}\n${hex.slice(0, 40).replace(/(..)/g, '$1:')}`),
    bytesOf(dump),
    bytesOf('00000000  45 00 01 48 00 01 00 00  40 11 00 00 00 00 00 00  |E..H|\n00000010'),
    bytesOf(
      `{"t":1,"src":"0.0.0.0","dst":"255.255.255.255","sport":68,"dport":67,"raw":"${hex}","scenario":"x"}\n{"raw":"00"}`,
    ),
  ],
  dictionary: [
    '0x0000:  ',
    '00000010: ',
    '|',
    '  ',
    '\n',
    '{"raw":"',
    '"src":"10.0.0.1"',
    '"dport":69',
    '#',
    '4500',
    '63825363',
    ':',
  ],
  allowed: [UnknownInput],
  run(bytes) {
    readInput(bytes);
    readTextInput(textOf(bytes));
    const { text, json } = explainFile(bytes);
    must(!/[\x00-\x09\x0b-\x1f\x7f]/.test(text), 'what is printed has no control characters');
    JSON.stringify(json);
  },
};
