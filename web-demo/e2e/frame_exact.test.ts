// The card comes with its frame: for a viewer at +0 and for one whose video is 2 s late. The error
// is the clock drawn in the frame that the pin was stamped with, minus the clock drawn in the
// frame on screen when the card is painted first.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { Buyer } from './buyer.ts';
import { percentile, tell } from './figures.ts';
import { drawnAt, frames, hide, install, painted, pins, shown, type Hidden } from './meter.ts';
import { Seller } from './seller.ts';
import { Server } from './server.ts';
import { steps } from './steps.ts';

const DELAY_MS = 2_000;
const PINS = 20;
const ERROR_P95_MS_MAX = 50;
/** By the server's clock alone: frames are drawn, encoded and sent at no even pace. And of a moment
 *  that has no frame of its own: the next one shows the card, at 15 frames a second or more. */
const ERROR_LOOSE_P95_MS_MAX = 100;
/** A machine with time for its pictures skips one of a hundred at most. Where more are missing,
 *  no card can come with a picture that nobody saw, and so much more is granted. */
const EVEN_GAP_MS = 67;
/** A receiver keeps to its delay with a frame more or less. */
const DELAY_SLACK_MS = 100;
const BACK_DATED_PINS = 5;
const BACK_MS = 1_000;
/** The picture was drawn before it was encoded and sent; a busy machine takes its time for both. */
const BACK_OFF_P50_MS_MAX = 500;
const PAINTED_MS_MAX = 10_000;
const STEADY_MS_MAX = 60_000;

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

/** A viewer, by how late its video is and what its browser does not tell of the frames. */
interface Case {
  readonly name: string;
  readonly delayMs: number;
  readonly hidden: readonly Hidden[];
}

describe('cards in step with their frame', () => {
  steps();

  test.each<Case>([
    { name: 'at_0', delayMs: 0, hidden: [] },
    { name: 'at_0_by_media_time', delayMs: 0, hidden: ['rtpTimestamp', 'captureTime'] },
    { name: 'at_0_by_server_clock', delayMs: 0, hidden: ['rtpTimestamp', 'sources'] },
  ])('$name', async (one) => {
    await measure([one]);
  });

  test('for viewers whose video is 2 s late, told and estimated', async () => {
    const delayMs = DELAY_MS;
    await measure([
      { name: 'at_2000', delayMs, hidden: [] },
      { name: 'at_2000_by_media_time', delayMs, hidden: ['rtpTimestamp', 'captureTime'] },
      { name: 'at_2000_by_server_clock', delayMs, hidden: ['rtpTimestamp', 'sources'] },
    ]);
  });

  test('of a pin to the picture of a second ago', async () => {
    const one = await watching({ name: 'back_dated', delayMs: DELAY_MS, hidden: [] });
    const { page } = one.buyer;
    const chosen: number[] = [];
    for (let pin = 1; pin <= BACK_DATED_PINS; pin += 1) {
      chosen.push(await seller.pinEarlier(1 + (pin % 2), BACK_MS / 1_000));
      await painted(page, one.already + pin, DELAY_MS + PAINTED_MS_MAX);
    }
    const [seen, heard] = [await frames(page), (await pins(page)).slice(one.already)];
    const off = heard.map(({ mediaTime = 0 }, at) => {
      const stamped = drawnAt(seen, mediaTime) ?? Number.NaN;
      return Math.abs((chosen[at] ?? Number.NaN) - BACK_MS - stamped);
    });
    tell({ back_dated_off_p50_ms: percentile(off, 0.5), back_dated_off_max_ms: Math.max(...off) });
    expect(percentile(off, 0.5), 'the picture is of then').toBeLessThan(BACK_OFF_P50_MS_MAX);
    await judge(one, BACK_DATED_PINS, ERROR_LOOSE_P95_MS_MAX);
    await one.buyer.opened.context.close();
  });
});

/** Pins while all of them watch, and judges every one. A machine that was busy with something else
 *  is asked a second time. */
async function measure(cases: readonly Case[]): Promise<void> {
  const first = await attempt(cases);
  const again = first.filter(({ failed }) => failed !== undefined);
  if (again.length === 0) return;
  console.log(`measured again: ${again.map(({ failed }) => String(failed)).join('; ')}`);
  for (const { failed } of await attempt(again)) if (failed) throw failed;
}

/** One round; what did not hold, by case. */
async function attempt(cases: readonly Case[]): Promise<(Case & { failed: unknown })[]> {
  const buyers = await Promise.all(cases.map(watching));
  for (let pin = 1; pin <= PINS; pin += 1) {
    await seller.pin(1 + (pin % 2));
    await Promise.all(
      buyers.map(({ buyer, delayMs, already }) =>
        painted(buyer.page, already + pin, delayMs + PAINTED_MS_MAX),
      ),
    );
  }
  const judged: (Case & { failed: unknown })[] = [];
  for (const one of buyers) {
    const failed: unknown = await judge(one).then(
      () => undefined,
      (error: unknown) => error,
    );
    const { name, delayMs, hidden, buyer } = one;
    judged.push({ name, delayMs, hidden, failed });
    await buyer.opened.context.close();
  }
  return judged;
}

interface Watching extends Case {
  readonly buyer: Buyer;
  /** Pins that it was told of before the first one that counts. */
  readonly already: number;
  /** When that one was about to come, ms since 1970. */
  readonly since: number;
}

async function watching(one: Case): Promise<Watching> {
  const { delayMs, hidden } = one;
  const before = async (page: Page) => {
    await install(page);
    if (hidden.length > 0) await hide(page, hidden);
  };
  const buyer = await Buyer.open(browser, server, { before, delayMs });
  // A receiver grows into its delay: measured once it is there.
  await shown(buyer.page, 150, STEADY_MS_MAX);
  await steady(buyer, delayMs - DELAY_SLACK_MS);
  // A pin of before the visit is told with the snapshot.
  const already = (await pins(buyer.page)).length;
  await painted(buyer.page, already, delayMs + PAINTED_MS_MAX);
  return { ...one, buyer, already, since: Date.now() };
}

async function judge(watching: Watching, count = PINS, mostMs = most(watching)): Promise<void> {
  const { name, delayMs, buyer, already, since } = watching;
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
  const watched = seen.filter(({ shown }) => shown >= since).map(({ shown }) => shown);
  const gaps = watched.slice(1).map((shown, at) => shown - (watched[at] ?? shown));
  const missingMs = Math.max(0, percentile(gaps, 0.99) - EVEN_GAP_MS);
  tell({
    pins: `${errors.length}/${count}`,
    [`card_error_${name}_p50_ms`]: percentile(errors, 0.5),
    [`card_error_${name}_p95_ms`]: percentile(errors, 0.95),
    [`card_error_${name}_max_ms`]: Math.max(...errors),
    [`immediate_push_${name}_p95_ms`]: percentile(immediate, 0.95),
    [`glass_to_glass_${name}_p50_ms`]: percentile(late, 0.5),
    [`gap_${name}_p99_ms`]: percentile(gaps, 0.99),
  });
  expect(errors.length, 'every pin is stamped, and its frame and its card were seen').toBe(count);
  const lateMsMin = delayMs - DELAY_SLACK_MS;
  expect(percentile(late, 0.5), 'the video is as late as it should be').toBeGreaterThan(lateMsMin);
  expect(percentile(errors, 0.95), name).toBeLessThanOrEqual(mostMs + missingMs);
  expect(buyer.opened.faults).toEqual([]);
}

function most({ hidden }: Case): number {
  return hidden.includes('sources') ? ERROR_LOOSE_P95_MS_MAX : ERROR_P95_MS_MAX;
}

/** Waits until the newest frames are at least so late. */
async function steady(buyer: Buyer, leastMs: number): Promise<void> {
  await buyer.page.waitForFunction(
    (least) => {
      type Seen = { shown: number; drawn: number | undefined };
      const { meter } = globalThis as unknown as { meter: { frames: Seen[] } };
      const last = meter.frames.slice(-30);
      return last.length === 30 && last.every(({ shown, drawn }) => shown - (drawn ?? 0) >= least);
    },
    leastMs,
    { timeout: STEADY_MS_MAX },
  );
}
