// Three pages built into dist/{watch,studio,ops}/index.html with hashed files under /assets.
// The server embeds dist; in development (`npm run dev`) requests for the server are passed on to
// VETRINA_URL and /states shows every state of the watch page from fixtures (never built).
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig, type Plugin } from 'vitest/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const server = process.env['VETRINA_URL'] ?? 'http://127.0.0.1:8080';

/** /watch/<show> and /studio/<show> are one page each; the id stays in the address. */
function showPages(): Plugin {
  return {
    name: 'vetrina-show-pages',
    configureServer(dev) {
      dev.middlewares.use((request, _response, next) => {
        const page = /^\/(watch|studio|ops|states)(\/[^.]*)?(\?|$)/.exec(request.url ?? '');
        if (page) request.url = `/${page[1]}/index.html`;
        next();
      });
    },
  };
}

/** What the head of every page says. A page names the file where it wants it. */
function heads(): Plugin {
  const place = '<!-- src/ui/head.html -->';
  return {
    name: 'vetrina-heads',
    transformIndexHtml: {
      order: 'pre',
      async handler(html, { path }) {
        if (!html.includes(place)) throw new Error(`${path}: no ${place} in its head`);
        return html.replace(place, (await readFile(at('src/ui/head.html'), 'utf8')).trim());
      },
    },
  };
}

export default defineConfig({
  root: at('.'),
  base: '/',
  appType: 'mpa',
  plugins: [heads(), showPages(), tailwindcss(), svelte()],
  resolve: process.env['VITEST'] ? { conditions: ['browser'] } : {},
  build: {
    target: 'es2022',
    // light-dark() must reach the browser as it is: tokens.css switches it per element.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: {
        watch: at('watch/index.html'),
        studio: at('studio/index.html'),
        ops: at('ops/index.html'),
      },
    },
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/v1': { target: server, ws: true },
    },
  },
  test: {
    include: ['packages/client/tests/**/*.test.ts', 'tests/**/*.test.ts'],
    environment: 'node',
  },
});
