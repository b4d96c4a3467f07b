// The broadcast's timeline, as far as the server told of it: which frame was its newest at which
// moment. Knows nothing of what is on this screen.
import type { MediaTime } from '../generated/wire.ts';

/** Ticks of a media time in a millisecond. */
export const TICKS_PER_MS = 90;

/** Stamps that are remembered; more would be too old to tell how the publisher's clock runs. */
const STAMPS_MAX = 8;
/** A stamp further from what is known was back-dated, or made while no picture came. */
const APART_MS_MAX = 500;

export class Timeline {
  /** Ticks of the timeline ahead of the server's wall clock, newest last. */
  readonly #ahead: number[] = [];

  /** From a pin or unpin: its media time was the newest at the server when it was `atMs` there. */
  note(mediaTime: MediaTime | undefined, atMs: number): void {
    if (mediaTime === undefined) return;
    const ahead = mediaTime - Math.round(atMs * TICKS_PER_MS);
    if (Math.abs(ahead - this.#best) > APART_MS_MAX * TICKS_PER_MS) return;
    this.#ahead.push(ahead);
    if (this.#ahead.length > STAMPS_MAX) this.#ahead.shift();
  }

  /** The media time of a frame that was the newest at the server at this time there. A timeline
   *  begins at the wall clock of its first frame, which is what is taken before the first stamp. */
  at(serverMs: number): MediaTime {
    return Math.max(0, Math.round(serverMs * TICKS_PER_MS) + this.#best);
  }

  /** The newest frame is up to one interval old: the stamp furthest ahead says most. */
  get #best(): number {
    return this.#ahead.length === 0 ? 0 : Math.max(...this.#ahead);
  }
}
