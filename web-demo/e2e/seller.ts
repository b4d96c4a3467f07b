// The seller at the studio, as a person would use it: by what is read on the page.
import type { Browser, Locator, Page } from 'playwright-core';
import { person, type Opened, type PageOptions } from './browser.ts';
import type { Server } from './server.ts';

const OPEN_MS_MAX = 30_000;
const LIVE_MS_MAX = 40_000;

export class Seller {
  private constructor(
    readonly opened: Opened,
    readonly server: Server,
  ) {}

  /** By the link that the server printed: works once. */
  static async byLink(browser: Browser, server: Server, options?: PageOptions): Promise<Seller> {
    const opened = await person(browser, server, options);
    const seller = new Seller(opened, server);
    await seller.page.goto(server.links.studio);
    await seller.#ready();
    return seller;
  }

  /** With a token that is known already, as after a reload of the tab. */
  static async byToken(browser: Browser, server: Server, options?: PageOptions): Promise<Seller> {
    const opened = await person(browser, server, options);
    const seller = new Seller(opened, server);
    const grant = JSON.stringify(await server.host());
    const entry = [`vetrina.studio.${server.show}`, grant] as const;
    await opened.context.addInitScript(([key, value]) => {
      // Frames of other origins and blank pages have no storage of ours.
      if (location.protocol.startsWith('http')) sessionStorage.setItem(key, value);
    }, entry);
    await seller.page.goto(`${server.origin}/studio/${encodeURIComponent(server.show)}`);
    await seller.#ready();
    return seller;
  }

  get page(): Page {
    return this.opened.page;
  }

  /** A row of the run of show. */
  row(place: number): Locator {
    return this.page.locator('[data-listing]').nth(place - 1);
  }

  async listingAt(place: number): Promise<string> {
    return (await this.row(place).getAttribute('data-listing')) ?? '';
  }

  async titleAt(place: number): Promise<string> {
    const title = (await this.row(place).locator('p').first().getAttribute('title')) ?? '';
    return title;
  }

  async choose(source: 'Camera' | 'Test picture'): Promise<void> {
    const change = this.page.getByRole('button', { name: 'Change', exact: true });
    if (await change.isVisible()) await change.click();
    await this.page.getByRole('button', { name: new RegExp(`^${source}`) }).click();
    await this.shows();
  }

  /** Waits until the preview has a picture. */
  async shows(): Promise<void> {
    const preview = this.page.getByLabel('Preview of your picture');
    await preview.waitFor({ timeout: OPEN_MS_MAX });
    const video = await preview.elementHandle();
    await this.page.waitForFunction(
      (element) => element instanceof HTMLVideoElement && element.videoWidth > 0,
      video,
      { timeout: OPEN_MS_MAX },
    );
  }

  async goLive(): Promise<void> {
    const button = this.page.getByRole('button', { name: /^(Go live|Back on air)$/ });
    await this.hold(button, () => button.waitFor({ state: 'detached', timeout: LIVE_MS_MAX }));
    await this.page.getByText('On air', { exact: true }).waitFor({ timeout: LIVE_MS_MAX });
  }

  async endShow(): Promise<void> {
    const button = this.page.getByRole('button', { name: 'End show' });
    await this.hold(button, () => button.waitFor({ state: 'detached', timeout: LIVE_MS_MAX }));
    await this.page.getByRole('heading', { name: 'The show has ended' }).waitFor();
  }

  /** Presses, and lets go once `done`. */
  async hold(button: Locator, done: () => Promise<unknown>): Promise<void> {
    await button.hover();
    await this.page.mouse.down();
    try {
      await done();
    } finally {
      await this.page.mouse.up();
    }
  }

  /** By its number key, from anywhere on the page. */
  async pin(place: number): Promise<void> {
    await this.page.keyboard.press(String(place));
    await this.row(place).getByRole('button', { name: /^Unpin / }).waitFor();
  }

  /** To the picture of some seconds ago, by the menu; when it was chosen. */
  async pinEarlier(place: number, seconds: number): Promise<number> {
    await this.row(place).getByRole('button', { name: /to an earlier picture$/ }).click();
    const choice = this.page.getByRole('menuitem', { name: `${seconds} s ago` });
    await choice.waitFor();
    const at = Date.now();
    await choice.click();
    await this.row(place).getByRole('button', { name: /^Unpin / }).waitFor();
    return at;
  }

  async setStock(place: number, total: number): Promise<void> {
    await this.edit(this.row(place).getByRole('button', { name: /^Units of / }), String(total));
  }

  async setPrice(place: number, price: string): Promise<void> {
    await this.edit(this.row(place).getByRole('button', { name: /^Price of / }), price);
  }

  async edit(button: Locator, text: string): Promise<void> {
    const name = (await button.getAttribute('aria-label')) ?? '';
    await button.click();
    const input = this.page.getByRole('textbox', { name: name.slice(0, name.lastIndexOf(': ')) });
    await input.fill(text);
    await input.press('Enter');
    await input.waitFor({ state: 'detached' });
  }

  async tab(name: 'Products' | 'Comments' | 'Reservations' | 'Orders'): Promise<void> {
    await this.page.getByRole('tab', { name: new RegExp(`^${name}`) }).click();
  }

  /** The newest order, with its state in words. */
  order(number: string): Locator {
    const orders = this.page.getByRole('list', { name: 'Orders' });
    return orders.locator('[data-item]', { hasText: number });
  }

  async #ready(): Promise<void> {
    await this.page.locator('[data-listing]').first().waitFor({ timeout: OPEN_MS_MAX });
  }
}
