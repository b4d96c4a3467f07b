// A viewer who buys, as a person would: by the buttons of the card and the sheets.
import type { Browser, Locator, Page } from 'playwright-core';
import { person, PHONE, type Opened, type PageOptions } from './browser.ts';
import type { Server } from './server.ts';

/** A busy machine with two cores takes its time; a test that fails does not mind to wait. */
const SOON_MS = 30_000;
/** The provider's webhook is on the way after the buyer pressed. */
const PAID_MS_MAX = 45_000;

export type CardKind =
  | 'coming'
  | 'onSale'
  | 'soldOut'
  | 'waiting'
  | 'reserved'
  | 'offer'
  | 'unpaid'
  | 'paid';

export class Buyer {
  private constructor(readonly opened: Opened) {}

  static async open(
    browser: Browser,
    server: Server,
    options: PageOptions & { delayMs?: number; before?: (page: Page) => Promise<void> } = {},
  ): Promise<Buyer> {
    const opened = await person(browser, server, { viewport: PHONE, ...options });
    await options.before?.(opened.page);
    const url = new URL(server.links.watch);
    if (options.delayMs) url.searchParams.set('delay_ms', String(options.delayMs));
    await opened.page.goto(url.href);
    return new Buyer(opened);
  }

  get page(): Page {
    return this.opened.page;
  }

  card(kind?: CardKind): Locator {
    return this.page.locator(kind ? `article[data-card="${kind}"]` : 'article[data-card]');
  }

  /** Waits until the card on screen is in this state. */
  async sees(kind: CardKind, withinMs = SOON_MS): Promise<void> {
    await this.card(kind).waitFor({ timeout: withinMs });
  }

  async act(action: string): Promise<void> {
    await this.page.locator(`[data-action="${action}"]`).first().click();
  }

  async say(text: string): Promise<void> {
    await this.page.getByRole('textbox', { name: 'Say something' }).fill(text);
    await this.page.getByRole('button', { name: 'Send', exact: true }).click();
  }

  /** The address, asked for once; then on to the provider's page. */
  async deliver(): Promise<void> {
    const sheet = this.page.getByRole('dialog', { name: 'Where should it go?' });
    await sheet.getByLabel('First and last name').fill('Anna Bianchi');
    await sheet.getByLabel('Street and number').fill('Via Roma 1');
    await sheet.getByLabel('Postcode').fill('20121');
    await sheet.getByLabel('City').fill('Milano');
    await sheet.getByLabel('Country').selectOption('IT');
    await this.act('to-payment');
    await this.providerReady();
  }

  async providerReady(): Promise<void> {
    await this.provider().locator('button[value="approve"]').waitFor({ timeout: SOON_MS });
  }

  /** The provider's page in its frame. */
  provider() {
    return this.page.frameLocator('iframe[title="Payment page of the provider"]');
  }

  async pays(choice: 'approve' | 'decline'): Promise<void> {
    await this.provider().locator(`button[value="${choice}"]`).click();
  }

  order(state: 'pending' | 'declined' | 'paid' | 'expired'): Locator {
    return this.page.locator(`[data-order="${state}"]`);
  }

  /** Waits for the receipt; the number that people see. */
  async paid(): Promise<string> {
    const receipt = this.order('paid');
    await receipt.waitFor({ timeout: PAID_MS_MAX });
    return (await receipt.getAttribute('data-order-number')) ?? '';
  }

  async closeSheet(): Promise<void> {
    await this.page.keyboard.press('Escape');
    await this.page.locator('dialog[open]').waitFor({ state: 'detached' }).catch(() => undefined);
  }
}
