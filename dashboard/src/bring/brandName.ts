/** The name of a brand: what it may be, and what what was brought suggests. */

const BRAND_MAX_CHARS = 100;
/** Words of files' and hosts' names that say what they are, not whose. */
const GENERAL = new Set(
  (
    'all asset assets catalog catalogue cdn csv data download edited export exports feed file files ' +
    'final image images img index latest list lists media new photo photos picture pictures pim ' +
    'product products shop site sitemap static store txt url urls version www xlsx'
  ).split(' '),
);

/** What is wrong with a name; null if nothing is. The server checks again. */
export function checkBrand(name: string): string | null {
  const given = name.trim();
  if (!given) return 'Give the brand a name.';
  if (given.length > BRAND_MAX_CHARS) return `At most ${BRAND_MAX_CHARS} characters.`;
  if (/[/\\]/.test(given) || given === '.' || given === '..') return 'Slashes are not allowed.';
  return null;
}

/** "acme" of `Acme_product-export 2024-05-01 (1).csv.gz`; empty if nothing is left of it. */
export function brandOfFile(name: string): string {
  const stem = name.replace(/(\.[a-z0-9]{1,8}){1,2}$/i, '');
  return words(stem.split(/[\s_\-.()[\],]+/));
}

/** "example" of `https://shop.example.co.uk/list`; empty for an address of numbers. */
export function brandOfAddress(address: string): string {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `https://${address}`;
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  if (!host.includes('.') || /^[\d.]+$/.test(host)) return '';
  const parts = host.split('.').slice(0, -1);
  // `co.uk` and its like: what comes before a short part is the name.
  while (parts.length > 1 && parts.at(-1)!.length <= 3) parts.pop();
  return words(parts.slice(-1));
}

/** What the addresses of pictures suggest: the host that all of them have. */
export function brandOfUrls(urls: readonly string[]): string {
  const names = new Set(urls.map(brandOfAddress));
  return names.size === 1 ? ([...names][0] ?? '') : '';
}

const words = (parts: readonly string[]): string =>
  parts
    .filter((part) => part && !GENERAL.has(part.toLowerCase()) && !/^[\dvx]*\d+$/i.test(part))
    .join(' ')
    .toLowerCase()
    .slice(0, BRAND_MAX_CHARS)
    .trim();
