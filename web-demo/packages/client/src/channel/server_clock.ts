// The server's clock, as far as it can be known from here: the sample with the shortest round trip
// of the last few is the best one. For display only; the server alone decides.
import type { Runtime } from '../clock.ts';

const SAMPLES_MAX = 8;

export class ServerClock {
  #samples: { offset: number; roundTrip: number }[] = [];

  constructor(private readonly runtime: Runtime) {}

  /** A first guess from `Welcome`: better than this device's clock, worse than any `Pong`. */
  guess(serverTime: number): void {
    if (this.#samples.length > 0) return;
    this.#samples.push({ offset: serverTime - this.runtime.wall(), roundTrip: Infinity });
  }

  /** From a `Ping` sent at `sentAt` (monotonic) whose `Pong` has just come. */
  sample(serverTime: number, sentAt: number): void {
    const roundTrip = this.runtime.monotonic() - sentAt;
    const offset = serverTime + roundTrip / 2 - this.runtime.wall();
    this.#samples = [...this.#samples, { offset, roundTrip }].slice(-SAMPLES_MAX);
  }

  /** The network may be another one: old samples say little. */
  reset(): void {
    this.#samples = [];
  }

  /** Server time minus this device's time, ms. */
  get offset(): number {
    return this.#best?.offset ?? 0;
  }

  /** The shortest round trip lately, ms; unknown before the first `Pong`. */
  get roundTrip(): number | undefined {
    const roundTrip = this.#best?.roundTrip;
    return roundTrip === Infinity ? undefined : roundTrip;
  }

  now(): number {
    return this.runtime.wall() + this.offset;
  }

  get #best(): { offset: number; roundTrip: number } | undefined {
    return this.#samples.reduce<{ offset: number; roundTrip: number } | undefined>(
      (best, one) => (best && best.roundTrip <= one.roundTrip ? best : one),
      undefined,
    );
  }
}
