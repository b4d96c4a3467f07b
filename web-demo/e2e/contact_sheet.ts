// All screenshots of a run on two sheets, phone and desktop, so that one look is enough. Made when
// the tests have ended, whatever became of them.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch } from './browser.ts';
import { ARTEFACTS } from './look.ts';

const WIDTHS = { phone: 220, desktop: 460 };

export async function teardown(): Promise<void> {
  const files = (await readdir(ARTEFACTS).catch(() => [])).sort();
  const browser = await launch();
  for (const [size, width] of Object.entries(WIDTHS)) {
    const shots = files.filter((file) => file.includes(`-${size}-`));
    if (shots.length === 0) continue;
    const figures = await Promise.all(
      shots.map(async (file) => {
        const data = (await readFile(join(ARTEFACTS, file))).toString('base64');
        const name = file.replace(/\.png$/, '');
        const picture = `<img src="data:image/png;base64,${data}">`;
        return `<figure>${picture}<figcaption>${name}</figcaption></figure>`;
      }),
    );
    const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
    await page.setContent(
      `<style>body{margin:16px;display:flex;flex-wrap:wrap;gap:16px;font:12px sans-serif}` +
        `figure{margin:0;width:${width}px}img{width:100%;border:1px solid #888}</style>` +
        figures.join(''),
    );
    await page.screenshot({ path: join(ARTEFACTS, `contact-sheet-${size}.png`), fullPage: true });
    await page.close();
  }
  await browser.close();
}
