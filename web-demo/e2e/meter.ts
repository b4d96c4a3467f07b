// The meter of a viewer's page, from this side: puts it into the page and reads its figures.
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { rolldown } from 'rolldown';
import type { SeenFrame, SeenPin } from './inject/meter.ts';

interface InPage {
  readonly frames: readonly SeenFrame[];
  readonly pins: readonly SeenPin[];
}

/** Further away, no frame tells of another one. */
const NEIGHBOUR_MS_MAX = 300;

let bundled: Promise<string> | undefined;

/** Puts the meter into every document of the page, before its own scripts. */
export async function install(page: Page): Promise<void> {
  bundled ??= bundle();
  await page.addInitScript({ content: await bundled });
}

/** What a browser may not tell of its frames. */
export type Hidden = 'rtpTimestamp' | 'captureTime' | 'sources';

/** Takes something away from the page, though not from the meter, which is installed first. */
export async function hide(page: Page, hidden: readonly Hidden[]): Promise<void> {
  await page.addInitScript((names: readonly string[]) => {
    const { prototype } = HTMLVideoElement;
    const native = prototype.requestVideoFrameCallback;
    prototype.requestVideoFrameCallback = function (callback) {
      return native.call(this, (now, frame) => {
        const told = Object.entries(frame).filter(([name]) => !names.includes(name));
        callback(now, Object.fromEntries(told) as unknown as VideoFrameCallbackMetadata);
      });
    };
    if (names.includes('sources')) {
      RTCRtpReceiver.prototype.getSynchronizationSources = () => [];
    }
  }, hidden);
}

export function frames(page: Page): Promise<readonly SeenFrame[]> {
  return page.evaluate(() => (globalThis as unknown as { meter: InPage }).meter.frames);
}

export function pins(page: Page): Promise<readonly SeenPin[]> {
  return page.evaluate(() => (globalThis as unknown as { meter: InPage }).meter.pins);
}

/** Waits until so many frames were shown. */
export async function shown(page: Page, count: number, withinMs: number): Promise<void> {
  await page.waitForFunction(
    (least) => {
      const { frames } = (globalThis as unknown as { meter: InPage }).meter;
      return frames.length >= least;
    },
    count,
    { timeout: withinMs },
  );
}

/** Waits until so many pins were painted. */
export async function painted(page: Page, count: number, withinMs: number): Promise<void> {
  await page.waitForFunction(
    (least) => {
      const { pins } = (globalThis as unknown as { meter: InPage }).meter;
      return pins.filter((pin) => pin.painted).length >= least;
    },
    count,
    { timeout: withinMs },
  );
}

/** The clock in the frame with this media time, by the frames that this viewer saw: the frame
 *  itself, or, where it was skipped, its neighbour and the difference of their timestamps. */
export function drawnAt(seen: readonly SeenFrame[], mediaTime: number): number | undefined {
  const wanted = mediaTime % 2 ** 32;
  let best: { distance: number; drawn: number } | undefined;
  for (const { rtp, drawn } of seen) {
    if (rtp === undefined || drawn === undefined) continue;
    const ticks = (wanted - rtp) | 0;
    const distance = Math.abs(ticks);
    if (!best || distance < best.distance) best = { distance, drawn: drawn + ticks / 90 };
  }
  return best && best.distance < 90 * NEIGHBOUR_MS_MAX ? best.drawn : undefined;
}

async function bundle(): Promise<string> {
  const input = fileURLToPath(new URL('inject/meter.ts', import.meta.url));
  const build = await rolldown({ input });
  const { output } = await build.generate({ format: 'iife' });
  return output[0].code;
}
