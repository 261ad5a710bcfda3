// Fails the build when what a page loads first has grown: initial JavaScript, gzipped.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const BUDGET_BYTES = 150_000;
const built = fileURLToPath(new URL('../../src/triptych/dashboard', import.meta.url));
const manifest = JSON.parse(readFileSync(join(built, 'manifest.json'), 'utf8'));

const initial = new Set();
function take(name) {
  if (initial.has(name)) return;
  initial.add(name);
  for (const imported of manifest[name].imports ?? []) take(imported);
}
for (const [name, chunk] of Object.entries(manifest)) if (chunk.isEntry) take(name);

const sizes = [...initial].map(
  (name) => gzipSync(readFileSync(join(built, manifest[name].file))).length,
);
const total = sizes.reduce((sum, size) => sum + size, 0);
console.log(`dashboard: ${(total / 1000).toFixed(1)} kB of initial JavaScript, gzipped`);
if (total > BUDGET_BYTES) {
  console.error(
    `error: more than ${BUDGET_BYTES / 1000} kB. Load what is not needed at once later.`,
  );
  process.exit(1);
}
