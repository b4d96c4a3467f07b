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
    const seller = await Seller.byToken(browser, server);
    await seller.choose('Test picture');
    await seller.goLive();
    await Buyer.open(browser, server);
    const cells = ops.page.getByRole('region', { name: 'Shows' }).locator('tbody tr td');
    await expect.poll(() => cells.nth(0).innerText(), { timeout: 15_000 }).toBe('On air');
    await expect.poll(() => cells.nth(2).innerText(), { timeout: 15_000 }).toBe('1');
    expect(Number(await cells.nth(1).innerText())).toBeGreaterThanOrEqual(1);
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
