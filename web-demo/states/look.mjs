// Opens every state of the watch page in Chromium, at both sizes, light and dark, and over white
// and black frames: takes screenshots, and fails on what axe finds serious, on anything that is
// wider than the page, on cut-off buttons, and on errors in the console.
//
//   node states/look.mjs [--out DIR] [--only name,name] [--size phone|desktop] [--lang en|it]
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { createServer } from 'vite';

const { values: options } = parseArgs({
  options: {
    out: { type: 'string', default: '../artefacts/states' },
    only: { type: 'string' },
    size: { type: 'string' },
    theme: { type: 'string' },
    lang: { type: 'string', default: 'en' },
    frame: { type: 'string', default: 'tall' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});

const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1440, height: 900 } };
const THEMES = ['light', 'dark'];
const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

const server = await createServer({ server: { port: 0 }, logLevel: 'error' });
await server.listen();
const origin = server.resolvedUrls?.local[0] ?? '';
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--headless=new', '--no-sandbox', '--disable-background-networking'],
});
await mkdir(options.out, { recursive: true });

const names = options.only?.split(',') ?? (await allStates());
const findings = [];
for (const [size, viewport] of Object.entries(SIZES)) {
  if (options.size && options.size !== size) continue;
  for (const theme of THEMES) {
    if (options.theme && options.theme !== theme) continue;
    const page = await browser.newPage({
      viewport,
      hasTouch: size === 'phone',
      reducedMotion: 'reduce',
    });
    let at = '';
    page.on('console', (message) => {
      if (message.type() === 'error') findings.push(`${at}: console: ${message.text()}`);
    });
    page.on('pageerror', (error) => findings.push(`${at}: ${error.message}`));
    for (const name of names) {
      at = `${name} ${size} ${theme}`;
      await look(page, name, size, theme, at);
    }
    await page.close();
  }
}
await browser.close();
await server.close();

for (const finding of findings) console.log(finding);
console.log(`${names.length} states, ${findings.length} findings, screenshots in ${options.out}`);
process.exitCode = findings.length > 0 ? 1 : 0;

async function allStates() {
  const page = await browser.newPage();
  await page.goto(`${origin}states`);
  await page.waitForSelector('a');
  const all = await page.$$eval('a', (links) => links.map(({ textContent }) => textContent ?? ''));
  await page.close();
  return all;
}

async function look(page, name, size, theme, at) {
  const query = new URLSearchParams({
    state: name,
    theme,
    lang: options.lang,
    frame: options.frame,
  });
  await page.goto(`${origin}states?${query}`);
  await page.waitForSelector('h1');
  await page.evaluate(() =>
    Promise.all([...document.images].map((image) => image.decode().catch(() => {}))),
  );
  await page.waitForFunction(() =>
    [...document.querySelectorAll('video')].every(
      (video) => !video.srcObject || video.readyState >= 2,
    ),
  );
  await page.screenshot({ path: `${options.out}/${name}.${size}.${theme}.png` });
  for (const text of await page.evaluate(cutOff)) findings.push(`${at}: ${text}`);
  await page.addScriptTag({ path: axePath });
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  for (const { id, impact, nodes } of violations) {
    if (impact !== 'serious' && impact !== 'critical') continue;
    for (const node of nodes) findings.push(`${at}: axe ${id}: ${node.target.join(' ')}`);
  }
}

/** Runs in the page: what does not fit. */
function cutOff() {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} px wide`);
  for (const element of document.querySelectorAll(
    'button, [data-price], [data-countdown], dd, p, h1, h2',
  )) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.height === 0 || element.closest('.sr-only')) continue;
    const text = (element.textContent ?? '').trim().slice(0, 40);
    if (box.right > root.clientWidth + 1 || box.left < -1) found.push(`outside the page: ${text}`);
    const cuts = '.truncate, .line-clamp-2';
    const may = element.matches(`h1, ${cuts}`) || element.querySelector(`${cuts}, .absolute`);
    if (!may && element.scrollWidth > element.clientWidth + 1) found.push(`cut off: ${text}`);
  }
  return found;
}
