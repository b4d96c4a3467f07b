// The machine's clocks and timers behind one seam, so that tests own the time.

/** What the client needs of time and chance. */
export interface Runtime {
  /** Milliseconds since 1970 by this device's clock. */
  wall(): number;
  /** Milliseconds that never go backwards. */
  monotonic(): number;
  /** From 0 to 1. */
  random(): number;
  /** Calls `run` after `ms`; the returned function takes it back. */
  after(ms: number, run: () => void): () => void;
}

/** The browser's own. */
export const browserRuntime: Runtime = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Exponential back-off with full jitter: a random time up to half a second, doubling to 15 s. */
export function backoffMs(attempt: number, random: number): number {
  return Math.round(random * Math.min(15_000, 500 * 2 ** Math.min(attempt, 20)));
}

/** A fresh idempotency key: 128 random bits. Works outside secure contexts, too. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
