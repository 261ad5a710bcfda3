// Writes what each reason of a failure means, from the page that the server's code renders, so that
// a view never has to ask for it.
import { readFileSync, writeFileSync } from 'node:fs';

const page = readFileSync(new URL('../../docs/reference/failures.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `(\w+)` \| (.+?) \| (.+?) \|$/gm)];
if (rows.length < 20) throw new Error('docs/reference/failures.md has another form than expected');
const plain = (text) => text.replaceAll('`', '');
const reasons = Object.fromEntries(
  rows.map(([, reason, meaning, redrive]) => [
    reason,
    { meaning: plain(meaning), redrive: plain(redrive) },
  ]),
);
writeFileSync(
  new URL('../src/api/reasons.json', import.meta.url),
  `${JSON.stringify(reasons, null, 2)}\n`,
);
