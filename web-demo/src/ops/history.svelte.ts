// The samples of the last hour as columns, which is how plots want them. Bounded; in order of time.
import type { OpsFigures, OpsSample } from '@vetrina/client';

/** An hour of one sample a second. */
const SAMPLES_MAX = 3_600;
/** A feed that catches up brings 900 samples at once: what is shown changes once for them all. */
const SETTLE_MS = 50;
/** A pause this long is drawn as a gap, not as a line across it. */
const GAP_MS = 5_000;

export type Figure = keyof OpsFigures;

export class History {
  /** The newest sample; `undefined` before the first. */
  latest: OpsSample | undefined = $state.raw(undefined);
  /** Grows with every change: what plots depend on. */
  version = $state(0);

  #samples: OpsSample[] = [];
  #settling: ReturnType<typeof setTimeout> | undefined;

  /** Takes a sample in. What the feed repeats after a reconnect is dropped. */
  add(sample: OpsSample): void {
    const last = this.#samples.at(-1);
    if (last && sample.at_ms <= last.at_ms) return;
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.latest = this.#samples.at(-1);
      this.version += 1;
    }, SETTLE_MS);
  }

  /** Seconds since 1970 and one column per figure; `null` breaks the line where samples miss. */
  columns(figures: readonly Figure[]): [number[], ...(number | null)[][]] {
    const times: number[] = [];
    const columns: (number | null)[][] = figures.map(() => []);
    let previous: number | undefined;
    for (const sample of this.#samples) {
      if (previous !== undefined && sample.at_ms - previous > GAP_MS) {
        times.push((previous + 1) / 1000);
        for (const column of columns) column.push(null);
      }
      times.push(sample.at_ms / 1000);
      figures.forEach((figure, index) => columns[index]?.push(sample.figures[figure] ?? null));
      previous = sample.at_ms;
    }
    return [times, ...columns];
  }
}
