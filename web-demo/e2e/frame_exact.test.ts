// The card comes with its frame: for a viewer at +0 and for one whose video is 2 s late. The error
// is the clock drawn in the frame that the pin was stamped with, minus the clock drawn in the
// frame on screen when the card is painted first.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { Buyer } from './buyer.ts';
import { percentile, tell } from './figures.ts';
import { drawnAt, frames, install, painted, pins, shown } from './meter.ts';
import { Seller } from './seller.ts';
import { Server } from './server.ts';
import { steps } from './steps.ts';

const DELAY_MS = 2_000;
const PINS = 20;
const ERROR_P95_MS_MAX = 50;

let server: Server;
let browser: Browser;
let seller: Seller;

beforeAll(async () => {
  server = await Server.start();
  browser = await launch();
  seller = await Seller.byLink(browser, server);
  await seller.choose('Test picture');
  await seller.goLive();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

describe('cards in step with their frame', () => {
  steps();

  test('at +0', async () => {
    const errors = await measure('at_0', 0);
    expect(percentile(errors, 0.95)).toBeLessThanOrEqual(ERROR_P95_MS_MAX);
  });

  test('for a viewer whose video is 2 s late', async () => {
    const errors = await measure('at_2000', DELAY_MS);
    expect(percentile(errors, 0.95)).toBeLessThanOrEqual(ERROR_P95_MS_MAX);
  });
});

async function measure(name: string, delayMs: number): Promise<number[]> {
  const buyer = await Buyer.open(browser, server, { before: install, delayMs });
  // A receiver grows into its delay: measured once it is there.
  await shown(buyer.page, 150, 30_000);
  await steady(buyer, delayMs);
  const already = (await pins(buyer.page)).length;
  for (let pin = 1; pin <= PINS; pin += 1) {
    await seller.pin(1 + (pin % 2));
    await painted(buyer.page, already + pin, delayMs + 5_000);
  }
  const [seen, heard] = [await frames(buyer.page), (await pins(buyer.page)).slice(already)];
  const errors: number[] = [];
  const immediate: number[] = [];
  for (const { mediaTime, drawnWhenHeard, drawnWhenPainted } of heard) {
    const stamped = mediaTime === undefined ? undefined : drawnAt(seen, mediaTime);
    if (stamped === undefined || drawnWhenPainted === undefined) continue;
    errors.push(Math.abs(stamped - drawnWhenPainted));
    if (drawnWhenHeard !== undefined) immediate.push(Math.abs(stamped - drawnWhenHeard));
  }
  const late = seen.slice(-100).flatMap(({ shown, drawn }) => (drawn ? [shown - drawn] : []));
  tell({
    pins: `${errors.length}/${PINS}`,
    [`card_error_${name}_p50_ms`]: percentile(errors, 0.5),
    [`card_error_${name}_p95_ms`]: percentile(errors, 0.95),
    [`card_error_${name}_max_ms`]: Math.max(...errors),
    [`immediate_push_${name}_p95_ms`]: percentile(immediate, 0.95),
    [`glass_to_glass_${name}_p50_ms`]: percentile(late, 0.5),
  });
  expect(errors.length, 'every pin is stamped, and its frame and its card were seen').toBe(PINS);
  expect(percentile(late, 0.5), 'the video is as late as it should be').toBeGreaterThan(delayMs);
  expect(buyer.opened.faults).toEqual([]);
  await buyer.opened.context.close();
  return errors;
}

/** Waits until the newest frames are at least so late. */
async function steady(buyer: Buyer, delayMs: number): Promise<void> {
  await buyer.page.waitForFunction(
    (least) => {
      type Seen = { shown: number; drawn: number | undefined };
      const { meter } = globalThis as unknown as { meter: { frames: Seen[] } };
      const last = meter.frames.slice(-30);
      return last.length === 30 && last.every(({ shown, drawn }) => shown - (drawn ?? 0) >= least);
    },
    delayMs,
    { timeout: 60_000 },
  );
}
