// The rules of nixfmt that a line can be judged by: no tabs, no blanks at the end, indentation by twos, a set of several on several lines. What is
// inside of ''texts'' is free.

/** `LINE: what is wrong` for each fault. */
export function formFaults(source: string): string[] {
  const faults: string[] = [];
  const lines = source.split('\n');
  if (lines.pop() !== '') faults.push(`${lines.length + 1}: no line end at the end of the file`);
  let inText = false;
  lines.forEach((line, i) => {
    const say = (fault: string) => void faults.push(`${i + 1}: ${fault}`);
    if (line.includes('\t')) say('tab');
    if (/ $/.test(line)) say('blank at the end of the line');
    const indent = /^ */.exec(line)![0].length;
    if (!inText && indent % 2 === 1) say(`indented by ${indent}`);
    if (!inText && severalOnOneLine(line)) say('a set of several on one line');
    if (!inText && line === '' && lines[i - 1] === '') say('two empty lines');
    inText = textAfter(line, inText);
  });
  return faults;
}

/** Is the end of the line inside of a ''text''? Escapes in it are ''$, ''' and ''\; code in it that holds another ''text'' is not looked for. */
function textAfter(line: string, before: boolean): boolean {
  let inText = before;
  for (let at = 0; at < line.length; at++) {
    if (!inText && line[at] === '#') return false;
    if (!inText && line[at] === '"') {
      for (at++; at < line.length && line[at] !== '"'; at++) if (line[at] === '\\') at++;
    } else if (line.startsWith("''", at)) {
      if (inText && /['$\\]/.test(line[at + 2] ?? '')) at += 2;
      else {
        inText = !inText;
        at++;
      }
    }
  }
  return inText;
}

function severalOnOneLine(line: string): boolean {
  const code = line
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/''.*?''/g, '""')
    .replace(/#.*$/, '');
  // The arguments of a function have commas.
  return /\{[^{}]*;[^{}]*;\s*\}/.test(code);
}
