// Page A publishes from the studio, page B watches: how soon the first picture comes, whether it
// keeps running, and how late it is.
import type { Browser, Page, Request } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { Buyer } from './buyer.ts';
import { percentile, tell } from './figures.ts';
import { frames, install, shown } from './meter.ts';
import { Seller } from './seller.ts';
import { Server } from './server.ts';
import { steps } from './steps.ts';
import type { SeenFrame } from './inject/meter.ts';

const WATCHED_MS = 60_000;
const FIRST_FRAME_MS_MAX = 30_000;
/** A person sees a picture stand still from about here. */
const FREEZE_MS = 500;
const GLASS_TO_GLASS_P95_MS_MAX = 500;

let server: Server;
let browser: Browser;
let seller: Seller;
let buyer: Buyer;
/** Judged at the end: a slow machine does not hide what comes after. */
const measured = { gapMaxMs: Number.NaN, glassToGlassP95Ms: Number.NaN };

beforeAll(async () => {
  server = await Server.start();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

describe('video, from browser to browser', () => {
  steps();

  test('a newcomer goes live in three clicks with the link that was printed', async () => {
    seller = await Seller.byLink(browser, server);
    expect(new URL(seller.page.url()).hash, 'the code leaves the address').toBe('');
    await seller.choose('Camera');
    await seller.goLive();
    expect(seller.opened.faults).toEqual([]);
  });

  test('a viewer sees the first picture soon', async () => {
    buyer = await Buyer.open(browser, server, { before: install });
    await shown(buyer.page, 1, FIRST_FRAME_MS_MAX);
    const [first] = await frames(buyer.page);
    const opened = await buyer.page.evaluate(() => performance.timeOrigin);
    tell({ first_frame_ms: (first?.shown ?? Number.NaN) - opened });
  });

  test('the camera runs for 60 s without a freeze', async () => {
    // What else runs on the machine may stop a browser for a moment: not for two minutes in turn.
    for (let watched = 0; watched < 2 && !(measured.gapMaxMs < FREEZE_MS); watched += 1) {
      const before = (await frames(buyer.page)).length;
      await lasts(buyer.page, before, WATCHED_MS);
      const gaps = gapsOf((await frames(buyer.page)).slice(before));
      const stats = await inbound(buyer.page);
      tell({
        watched_s: WATCHED_MS / 1000,
        frames: gaps.length + 1,
        gap_p50_ms: percentile(gaps, 0.5),
        gap_p99_ms: percentile(gaps, 0.99),
        gap_max_ms: Math.max(...gaps),
        freezes: stats.freezeCount,
        packets_lost: stats.packetsLost,
      });
      measured.gapMaxMs = Math.max(...gaps);
    }
  });

  test('another source comes without a break, and is seen in time', async () => {
    const before = (await frames(buyer.page)).length;
    await seller.choose('Test picture');
    await buyer.page.waitForFunction(
      (from) => {
        const { meter } = globalThis as unknown as { meter: { frames: SeenFrame[] } };
        return meter.frames.slice(from).filter(({ drawn }) => drawn !== undefined).length >= 450;
      },
      before,
      { timeout: 120_000 },
    );
    const seen = (await frames(buyer.page)).slice(before);
    const clocked = seen.filter(({ drawn }) => drawn !== undefined);
    // The encoder settles on the new picture first.
    const late = clocked.slice(60).map(({ shown, drawn }) => shown - (drawn ?? Number.NaN));
    tell({
      glass_to_glass_frames: late.length,
      glass_to_glass_p50_ms: percentile(late, 0.5),
      glass_to_glass_p95_ms: percentile(late, 0.95),
      glass_to_glass_max_ms: Math.max(...late),
    });
    expect(percentile(late, 0.5), 'clocks of one machine never run backwards').toBeGreaterThan(0);
    measured.glassToGlassP95Ms = percentile(late, 0.95);
  });

  test('the seller reads how it goes in words, and nothing went wrong on either page', async () => {
    const words = /Picture good|This computer is too slow|Uploading slowly/;
    await seller.page.getByText(words).waitFor();
    expect(seller.opened.faults).toEqual([]);
    expect(buyer.opened.faults).toEqual([]);
  });

  test('the picture breaks off and comes back; the viewer stays', async () => {
    await seller.page.getByRole('button', { name: 'Pause picture' }).click();
    await buyer.page.getByText('The picture is interrupted').waitFor({ timeout: 30_000 });
    const before = (await frames(buyer.page)).length;
    await seller.goLive();
    await shown(buyer.page, before + 30, 60_000);
    await buyer.page.getByText('The picture is interrupted').waitFor({ state: 'detached' });
  });

  test('a network that breaks off gets new paths: the session stays', async () => {
    const asked: string[] = [];
    const { page } = buyer;
    page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.includes('/whep')) asked.push(`${request.method()} ${pathname}`);
    });
    const restart = (request: Request) =>
      request.method() === 'PATCH' && request.headers()['if-match'] === '*';
    server.pause();
    const request = await page
      .waitForRequest((one) => restart(one) && one.url().includes('/whep/'), { timeout: 40_000 })
      .finally(() => server.resume());
    const answer = await request.response();
    expect(answer?.status()).toBe(200);
    expect(answer?.headers()['content-type']).toBe('application/trickle-ice-sdpfrag');
    const before = (await frames(page)).length;
    await shown(page, before + 60, 60_000);
    const { pathname } = new URL(request.url());
    expect(new Set(asked)).toEqual(new Set([`PATCH ${pathname}`]));
    const states = await page.evaluate(() => {
      const { peers } = globalThis as unknown as { peers: RTCPeerConnection[] };
      return peers.map(({ connectionState }) => connectionState);
    });
    expect(states.at(-1)).toBe('connected');
    await page.getByText('The picture is interrupted').waitFor({ state: 'detached' });
  });

  test('no picture stood still', () => {
    expect(measured.gapMaxMs).toBeLessThan(FREEZE_MS);
  });

  test('the picture is on time', () => {
    expect(measured.glassToGlassP95Ms).toBeLessThan(GLASS_TO_GLASS_P95_MS_MAX);
  });
});

/** Waits until frames of so long a time were shown, from this one on. */
async function lasts(page: Page, from: number, ms: number): Promise<void> {
  await page.waitForFunction(
    ([from, least]) => {
      const { meter } = globalThis as unknown as { meter: { frames: SeenFrame[] } };
      const [first, last] = [meter.frames[from], meter.frames.at(-1)];
      return first !== undefined && last !== undefined && last.shown - first.shown >= least;
    },
    [from, ms] as const,
    { timeout: ms + 60_000 },
  );
}

function gapsOf(seen: readonly SeenFrame[]): number[] {
  return seen.slice(1).map((frame, at) => frame.shown - (seen[at]?.shown ?? frame.shown));
}

/** What the browser itself counted, if the page lets us: its peer is found through the video. */
async function inbound(page: Page): Promise<{ freezeCount: number; packetsLost: number }> {
  return page.evaluate(async () => {
    const { peers } = globalThis as unknown as { peers: RTCPeerConnection[] };
    const report = await peers.at(-1)?.getStats();
    let found = { freezeCount: Number.NaN, packetsLost: Number.NaN };
    report?.forEach((entry: Record<string, unknown>) => {
      if (entry['type'] !== 'inbound-rtp' || entry['kind'] !== 'video') return;
      const { freezeCount, packetsLost } = entry;
      found = { freezeCount: Number(freezeCount), packetsLost: Number(packetsLost) };
    });
    return found;
  });
}
