// Chromium with a fake camera, and pages whose faults are collected: errors, refused policies,
// requests to strangers, failing answers.
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page, Route } from 'playwright-core';
import type { Server } from './server.ts';

export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1440, height: 900 };

export async function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['VETRINA_CHROMIUM'] ?? '/usr/bin/chromium',
    args: [
      '--use-fake-device-for-media-stream=fps=30',
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      // Pages out of a folder have no address, and so no way to one of this machine.
      ...(process.env['VETRINA_PAGES'] ? ['--disable-features=LocalNetworkAccessChecks'] : []),
    ],
  });
}

export interface Opened {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What went wrong in this page so far. */
  readonly faults: string[];
}

export interface PageOptions {
  readonly viewport?: { width: number; height: number };
  readonly locale?: string;
}

/** A page of a person of its own: nothing is shared with other pages. */
export async function person(
  browser: Browser,
  server: Server,
  { viewport = DESKTOP, locale = 'en-GB' }: PageOptions = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport, locale });
  if (process.env['VETRINA_PAGES']) await fromFolder(context, process.env['VETRINA_PAGES']);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // Answers that are no success are looked at below, with their status.
    const text = message.text();
    if (message.type() !== 'error' || text.startsWith('Failed to load resource')) return;
    // A network that a test took away is no fault of the page.
    if (text.includes('ERR_INTERNET_DISCONNECTED')) return;
    faults.push(`console: ${text}`);
  });
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (!protocol.startsWith('http') && !protocol.startsWith('ws')) return;
    if (hostname !== new URL(server.origin).hostname) faults.push(`stranger: ${request.url()}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 500) faults.push(`${response.status()}: ${response.url()}`);
  });
  return { context, page, faults };
}

/** `VETRINA_PAGES=dist`: pages from this folder in place of those in the binary, so that a change
 *  of a page is tested after `npm run build` alone. */
async function fromFolder(context: BrowserContext, folder: string): Promise<void> {
  await context.route(/^[^/]+\/\/[^/]+\/((assets|watch|studio)\/|ops([?#]|$))/, async (route) => {
    const { pathname } = new URL(route.request().url());
    const [, first = ''] = pathname.split('/');
    if (first === 'assets') return route.fulfill({ path: join(folder, pathname) });
    // The headers stay the server's: a page must work under its policy.
    const { headers, status } = await fetched(route);
    return route.fulfill({ path: join(folder, `${first}/index.html`), headers, status });
  });
}

async function fetched(route: Route): Promise<{ headers: Record<string, string>; status: number }> {
  const response = await route.fetch();
  const { 'content-length': _, ...headers } = response.headers();
  return { headers, status: response.status() };
}
