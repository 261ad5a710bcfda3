import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// `npm run dev` draws on a server that runs beside it.
const server = process.env['TRIPTYCH_SERVER'] ?? 'http://127.0.0.1:8321';

// Swagger UI's style sheet has its icons in data: URLs, which the Content-Security-Policy refuses:
// they become files of their own, beside the package. Its fonts become the dashboard's.
const style: Plugin = {
  name: 'style-of-swagger-ui',
  enforce: 'pre',
  transform(code, id) {
    if (!id.endsWith('/swagger-ui-dist/swagger-ui.css')) return;
    const folder = join(dirname(id), '..', '.swagger-ui');
    mkdirSync(folder, { recursive: true });
    let count = 0;
    const ours = code.replace(/font-family:(sans|mono)[-a-z]*\b(?=[;}])/g, 'font-family:var(--$1)');
    return ours.replace(
      /url\(\s*(?:"data:([^,]*),((?:\\.|[^"\\])*)"|data:[^)]*)\s*\)/g,
      (_whole, kind?: string, body?: string) => {
        // What is left is of a design tool's grids.
        if (!kind?.startsWith('image/svg+xml') || body === undefined) return 'none';
        const name = `${(count += 1)}.svg`;
        writeFileSync(join(folder, name), decodeURIComponent(body.replace(/\\(.)/g, '$1')));
        return `url("../.swagger-ui/${name}")`;
      },
    );
  },
};

export default defineConfig({
  plugins: [style, svelte()],
  build: {
    outDir: '../src/triptych/dashboard',
    emptyOutDir: true,
    assetsDir: 'static',
    target: 'es2022',
    // Inlined files would be data: URLs, which the Content-Security-Policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: 'manifest.json',
    // Swagger UI comes as one file, when it is looked at; scripts/budget.js minds what comes first.
    chunkSizeWarningLimit: 2000,
  },
  server: { proxy: { '/api': server, '/ws': { target: server, ws: true } } },
  test: { include: ['tests/**/*.test.ts'] },
});
