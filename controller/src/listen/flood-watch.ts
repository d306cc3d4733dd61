// Says in words that more was asked than is looked at, for as long as that is so.
import type { DhcpCounters } from './dhcp.ts';

type Dropped = Pick<DhcpCounters, 'strangersDropped' | 'kernelDropped'>;

export class FloodWatch {
  #last: Dropped = { strangersDropped: 0 };

  /** What was dropped since the last look, or undefined when nothing was. */
  look(counters: Dropped): string | undefined {
    const unread = counters.strangersDropped - this.#last.strangersDropped;
    const lost = (counters.kernelDropped ?? 0) - (this.#last.kernelDropped ?? 0);
    this.#last = counters;
    const parts = [
      ...(unread > 0 ? [`${unread} packets of machines that are not listed were not looked at`] : []),
      ...(lost > 0 ? [`${lost} packets were lost as the kernel's queue was full`] : []),
    ];
    return parts.length === 0 ? undefined : parts.join(', ');
  }
}
