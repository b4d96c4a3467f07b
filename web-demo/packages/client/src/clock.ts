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

/** Exponential back-off with jitter: half of the step is certain, half is chance. */
export function backoffMs(attempt: number, random: number, firstMs = 300, mostMs = 10_000): number {
  const step = Math.min(mostMs, firstMs * 2 ** Math.min(attempt, 20));
  return Math.round(step * (0.5 + 0.5 * random));
}

/** A fresh idempotency key: 128 random bits. Works outside secure contexts, too. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
