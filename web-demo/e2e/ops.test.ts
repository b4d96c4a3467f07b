// The ops page, on its own listener, fed by the real server.
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch, person, type Opened } from './browser.ts';
import { Buyer } from './buyer.ts';
import { look } from './look.ts';
import { Seller } from './seller.ts';
import { Server } from './server.ts';
import { steps } from './steps.ts';

let server: Server;
let browser: Browser;
let ops: Opened;
let seller: Seller;

/** Samples come once a second; an alert waits until it holds, and until it is gone. */
const FIGURES_MS_MAX = 40_000;

beforeAll(async () => {
  server = await Server.start();
  browser = await launch();
  ops = await person(browser, server);
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** What was found in all states; told at the end, because a sale goes on with a crooked button. */
const findings: string[] = [];

describe('ops', () => {
  steps();

  test('opens by its link and answers the four questions', async () => {
    await ops.page.goto(server.links.ops);
    for (const question of [
      'Do viewers see video?',
      'Can buyers buy?',
      'Is the money right?',
      'Do we have room?',
    ]) {
      await ops.page.getByRole('listitem').filter({ hasText: question }).getByText('Yes').waitFor();
    }
    expect(new URL(ops.page.url()).hash, 'the code leaves the address').toBe('');
  });

  test('a show on air and its viewer are counted within seconds', async () => {
    seller = await Seller.byToken(browser, server);
    await seller.choose('Test picture');
    await seller.goLive();
    await Buyer.open(browser, server);
    const row = ops.page.getByRole('region', { name: 'Shows' }).locator('tbody tr').first();
    // State, viewers, with video.
    const cells = async () => (await row.locator('td').allInnerTexts()).slice(0, 3);
    await expect.poll(cells, { timeout: FIGURES_MS_MAX }).toEqual(['On air', '1', '1']);
  });

  test('a picture that breaks off is an alert that says what to do, until it is back', async () => {
    await ops.page.getByText('Nothing asks for you now.').waitFor();
    await seller.page.getByRole('button', { name: 'Pause picture' }).click();
    const alert = ops.page.locator('[data-alert="interrupted"]');
    await alert.getByText('Ask the host').waitFor({ timeout: FIGURES_MS_MAX });
    const video = ops.page.getByRole('listitem').filter({ hasText: 'Do viewers see video?' });
    await video.getByText('No.').waitFor();
    await looks(ops.page, 'ops-alert');
    await seller.goLive();
    await alert.waitFor({ state: 'detached', timeout: FIGURES_MS_MAX });
    await ops.page.getByRole('list', { name: 'Over by now' }).getByText('on air without').waitFor();
  });

  test('a server that is gone is said, and nothing is claimed', async () => {
    server.pause();
    try {
      await ops.page.getByText(/^No figures for/).waitFor({ timeout: FIGURES_MS_MAX });
      await expect.poll(() => ops.page.getByText('Not known').count()).toBe(4);
      await looks(ops.page, 'ops-silent');
    } finally {
      server.resume();
    }
    await ops.page.getByText('All four answers are green').waitFor({ timeout: FIGURES_MS_MAX });
  });

  test('its link works once, and says so', async () => {
    const late = await person(browser, server);
    await late.page.goto(server.links.ops);
    await late.page.getByRole('heading', { name: 'This link does not work any more' }).waitFor();
    await looks(late.page, 'ops-closed');
  });

  test('looks right, and nothing went wrong', async () => {
    await looks(ops.page, 'ops');
    expect(findings).toEqual([]);
    expect(ops.faults).toEqual([]);
  });
});

async function looks(page: Page, name: string): Promise<void> {
  findings.push(...(await look(page, name)));
}
