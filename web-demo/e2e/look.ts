// Looks at a page as a designer and as a screen reader would: a screenshot at both sizes, light and
// dark, nothing wider than the page, nothing cut off that must be read, nothing serious from axe.
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import { DESKTOP, PHONE } from './browser.ts';

export const ARTEFACTS = resolve(process.env['VETRINA_ARTEFACTS'] ?? '../artefacts/browser');

const SIZES = { phone: PHONE, desktop: DESKTOP };
const SCHEMES = ['light', 'dark'] as const;
/** What must be readable in full: prices, timers, buttons, totals. */
const NEVER_CUT = 'button, [data-price], [data-countdown], dd, [role=tab]';

const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
let axeSource: Promise<string> | undefined;

/** All findings of one state; the page is left as it was. */
export async function look(page: Page, name: string): Promise<string[]> {
  await mkdir(ARTEFACTS, { recursive: true });
  const before = page.viewportSize() ?? DESKTOP;
  const findings: string[] = [];
  for (const [size, viewport] of Object.entries(SIZES)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await settled(page);
      const at = `${name}-${size}-${colorScheme}`;
      await page.screenshot({ path: join(ARTEFACTS, `${at}.png`) });
      const found = [...(await measured(page)), ...(await audited(page))];
      findings.push(...found.map((finding) => `${at}: ${finding}`));
    }
  }
  await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  return findings;
}

/** As `look`, though only as the page is now: for what goes when the window changes. */
export async function audit(page: Page, name: string): Promise<string[]> {
  await mkdir(ARTEFACTS, { recursive: true });
  await settled(page);
  await page.screenshot({ path: join(ARTEFACTS, `${name}.png`) });
  const found = [...(await measured(page)), ...(await audited(page))];
  return found.map((finding) => `${name}: ${finding}`);
}

/** Two frames: the first lays out, the second has painted; and no motion is on its way. */
async function settled(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    await frame();
    await Promise.allSettled(
      document
        .getAnimations()
        .filter((animation) => animation.effect?.getTiming().iterations !== Infinity)
        .map((animation) => animation.finished),
    );
    await frame();
  });
}

function measured(page: Page): Promise<string[]> {
  return page.evaluate((selector) => {
    const findings: string[] = [];
    const { scrollWidth } = document.documentElement;
    if (scrollWidth > innerWidth) findings.push(`the page is ${scrollWidth} px wide`);
    for (const element of document.querySelectorAll<HTMLElement>(selector)) {
      const { left, right, width, height } = element.getBoundingClientRect();
      if (width === 0 || height === 0 || !element.checkVisibility()) continue;
      const text = (element.innerText || element.ariaLabel || '').slice(0, 40);
      // Rows of a list may shorten a name that is there in full as their title.
      const cut = element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0;
      const hidden = getComputedStyle(element).overflowX !== 'visible';
      if (cut && hidden) findings.push(`cut off: ${text}`);
      const scrolled = element.closest('[data-scroll], .overflow-x-auto');
      if (!scrolled && (left < -1 || right > innerWidth + 1)) findings.push(`outside: ${text}`);
    }
    return findings;
  }, NEVER_CUT);
}

async function audited(page: Page): Promise<string[]> {
  axeSource ??= readFile(axeFile, 'utf8');
  await page.evaluate(await axeSource);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
    const { violations } = await axe.run(document, { iframes: false });
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `axe ${id}: ${nodes[0]?.html.slice(0, 160)}`);
  });
}
