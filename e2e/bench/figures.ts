// What every benchmark prints: a ratio to a peer that was measured in the same run, beside its goal.

export interface Measured {
  /** What was measured, with its unit: `agent registered, ms`. */
  readonly figure: string;
  readonly values: readonly number[];
  /** What it is compared with. */
  readonly peer: string;
  readonly peerValues: readonly number[];
  /** For the ratio of the medians. */
  readonly goal: number;
  /** Is the ratio to be at most the goal (the default), or at least? */
  readonly want?: 'at most' | 'at least';
}

/** As one line of `--json`. */
export interface Figure {
  readonly bench: string;
  readonly figure: string;
  readonly value: number;
  readonly peer: string;
  readonly peer_value: number;
  readonly ratio: number;
  readonly goal: number;
  readonly met: boolean;
}

/** Of at least one value; of an even number of them the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const rounded = (value: number): number => Number(value.toPrecision(4));

export function figureOf(
  bench: string,
  { figure, values, peer, peerValues, goal, want = 'at most' }: Measured,
): Figure {
  const [value, peerValue] = [median(values), median(peerValues)];
  const ratio = value / peerValue;
  return {
    bench,
    figure,
    value: rounded(value),
    peer,
    peer_value: rounded(peerValue),
    ratio: rounded(ratio),
    goal,
    // A ratio that is no number meets nothing.
    met: want === 'at most' ? ratio <= goal : ratio >= goal,
  };
}

/** `12.3 (11.9–14.0)`: the median, the least and the most. */
const spread = (values: readonly number[]): string => {
  const of = (value: number): string => String(Number(value.toPrecision(3)));
  return `${of(median(values))} (${of(Math.min(...values))}–${of(Math.max(...values))})`;
};

/** The figures as lines: one object each for programs, or a table with the spread of the rounds for people. */
export function figureLines(bench: string, measured: readonly Measured[], json: boolean): string[] {
  const figures = measured.map((each) => figureOf(bench, each));
  if (json) return figures.map((figure) => JSON.stringify(figure));
  const rows = measured.map((each, i) => {
    const { ratio, goal, met } = figures[i]!;
    const want = each.want === 'at least' ? '≥' : '≤';
    return [
      each.figure,
      spread(each.values),
      `${each.peer}: ${spread(each.peerValues)}`,
      `${ratio.toFixed(2)}×`,
      `${want} ${goal}× ${met ? 'met' : 'NOT met'}`,
    ];
  });
  const all = [[bench, 'median (min–max)', 'peer', 'ratio', 'goal'], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}
