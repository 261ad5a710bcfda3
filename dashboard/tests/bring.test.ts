import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { SourceCheck, SourceTypeShown, TaskShown } from '../src/api/types';
import { guess, PICTURE, sourceText, usage } from '../src/bring/address';
import { brandOfAddress, brandOfFile, brandOfUrls, checkBrand } from '../src/bring/brandName';
import type { Bringing as Made, Server } from '../src/bring/bringing.svelte';
import {
  columnsOf,
  FOUND,
  hasColumns,
  likely,
  useOf,
  withColumns,
  withUse,
} from '../src/bring/columns';
import { checkFiles } from '../src/bring/file';
import { placeOf, readPasted, URLS_MAX } from '../src/bring/pasted';
import { inWords } from '../src/bring/problem';

const type = (scheme: string, problem: string | null = null): SourceTypeShown => ({
  scheme,
  title: scheme,
  description: '',
  place: `${scheme.toUpperCase()}`,
  example: 'x',
  problem,
});
const TYPES = ['catalog', 'feed', 'manifest', 'page', 'shopify', 'sitemap'].map((name) =>
  type(name),
);

describe('a problem of a row', () => {
  it('is said without the name that programs know it by', () => {
    expect(inWords('invalid_url: Not a URL: a\nb')).toBe('Not a URL: a\nb');
  });

  it('is left as it is where there is no such name', () => {
    for (const text of ['There is no URL in Foto.', 'http: is missing', 'Other problems.'])
      expect(inWords(text)).toBe(text);
  });
});

describe('an address', () => {
  it.each([
    ['https://cdn.example.com/a/shoe.JPG?w=2', PICTURE],
    ['https://example.com/sitemap_products.xml', 'sitemap'],
    ['https://example.com/robots.txt', 'sitemap'],
    ['https://example.com/sitemap.xml.gz', 'sitemap'],
    ['https://shoes.myshopify.com/collections/all', 'shopify'],
    ['https://example.com/products.json?limit=2', 'shopify'],
    ['https://example.com/export/list.csv#url-column=Foto', 'manifest'],
    ['https://example.com/products.rss', 'feed'],
    ['https://example.com/feed/google.xml', 'feed'],
    ['https://example.com/news/', 'page'],
    ['example.com', 'page'],
    ['/srv/lists/urls.csv', 'manifest'],
    ['/srv/{brand}/urls', 'manifest'],
    ['catalog:https://example.com/media', 'catalog'],
    ['s3://bucket/list.parquet', 'manifest'],
  ])('%s is guessed to be %s', (text, scheme) => {
    expect(guess(text, TYPES)?.scheme).toBe(scheme);
  });

  it('keeps its place, and is a source with it', () => {
    expect(guess('shop.example.com/new', TYPES)).toMatchObject({
      place: 'https://shop.example.com/new',
    });
    expect(guess('https://x.myshopify.com/collections/all', TYPES)?.place).toBe(
      'https://x.myshopify.com',
    );
    expect(guess('catalog:https://a.example/', TYPES)?.place).toBe('https://a.example/');
    expect(sourceText('manifest', ' /srv/a.csv ')).toBe('manifest:/srv/a.csv');
  });

  it('is not guessed to be what is not installed, or broken', () => {
    expect(guess('https://example.com/sitemap.xml', [type('manifest')])?.scheme).toBe('manifest');
    expect(guess('feed:https://a.example', [type('feed', 'ImportError')])).toBeNull();
    expect(guess('s3://bucket/pictures/', TYPES)?.scheme).toBe('manifest');
    expect(guess('s3://bucket/pictures/', [...TYPES, type('bucket')])?.scheme).toBe('bucket');
    expect(guess('/srv/pictures', [...TYPES, type('folder')])?.scheme).toBe('folder');
    for (const text of ['', 'hello', 'two words']) expect(guess(text, TYPES)).toBeNull();
  });

  it('is written as it is used, without the broken ones', () => {
    expect(usage([type('a'), type('gone', 'ImportError'), type('b'), type('c')])).toBe(
      'a:A, b:B or c:C',
    );
    expect(usage([type('a')])).toBe('a:A');
    expect(usage([])).toBe('');
  });
});

describe('what is pasted', () => {
  it('is addresses, each once a line or several in one', () => {
    const read = readPasted('https://a/1.jpg\n\n https://a/2.jpg, https://a/3.jpg;\r\nnot one\n');
    expect(read).toMatchObject({
      kind: 'urls',
      urls: ['https://a/1.jpg', 'https://a/2.jpg', 'https://a/3.jpg', 'not one'],
      lines: [1, 3, 3, 4],
      says: '4 addresses',
      notes: [],
    });
    expect(placeOf('urls[3]', [1, 3, 3, 4])).toBe('line 4');
    expect(placeOf('line 7', null)).toBe('line 7');
  });

  it('has a heading that is said to be one', () => {
    const read = readPasted('Picture\nhttps://a/1.jpg\nhttps://a/2.jpg');
    expect(read).toMatchObject({ kind: 'urls', lines: [2, 3] });
    expect(read.kind === 'urls' && read.notes[0]).toContain('“Picture”');
  });

  it('is a file to upload when it is long, and nothing of it is left out', () => {
    const many = Array.from({ length: URLS_MAX + 1 }, (_, n) => `https://a/${n}.jpg`);
    const read = readPasted(many.join('\n'));
    expect(read.kind === 'list' && read.text.split('\n')).toEqual(many);
    expect(readPasted(many.slice(1).join('\n')).kind).toBe('urls');
  });

  it('is cells of a spreadsheet, with a heading or without', () => {
    const cells = readPasted('Foto\tName\nhttps://a/1.jpg\tShoe\n');
    expect(cells).toMatchObject({ kind: 'list', name: 'pasted.tsv' });
    expect(cells.kind === 'list' && cells.says).toContain('1 row, 2 columns');
    const bare = readPasted('Shoe\thttps://a/1.jpg\nBall\thttps://a/2.jpg');
    expect(bare.kind === 'list' && bare.text.split('\n')[0]).toBe('column 1\turl');
    expect(bare.kind === 'list' && bare.notes[0]).toContain('numbered');
  });

  it.each([
    ['url,title\nhttps://a/1.jpg,Shoe', 'pasted.csv'],
    ['https://a/1.jpg;Shoe\nhttps://a/2.jpg;Ball', 'pasted.csv'],
    ['https://a/my shoe.jpg\nhttps://a/my ball.jpg', 'pasted.csv'],
    ['[{"url": "https://a/1.jpg"}]', 'pasted.json'],
    ['<rss></rss>', 'pasted.xml'],
    ['sku\n1\n2', 'pasted.csv'],
  ])('is a list of another kind: %j', (text, name) => {
    expect(readPasted(text)).toMatchObject({ kind: 'list', name, text });
  });

  it('is one address, or nothing', () => {
    expect(readPasted(' shop.example.com \n')).toEqual({
      kind: 'address',
      text: 'shop.example.com',
    });
    expect(readPasted(' \n\t\n').kind).toBe('nothing');
    expect(readPasted('https://a/1.jpg https://a/2.jpg').kind).toBe('urls');
  });
});

describe('a file', () => {
  const file = (name: string, kind: string, size = 1) => ({ name, type: kind, size });
  it('is refused at once where it is seen to be no list', () => {
    expect(checkFiles([file('a.csv', 'text/csv')])).toBeNull();
    expect(checkFiles([file('a.unknown', '')])).toBeNull();
    expect(checkFiles([file('cow.png', 'image/png')])?.message).toBe(
      'cow.png is a picture, not a list.',
    );
    expect(checkFiles([file('a', ''), file('b', '')])?.message).toContain('2 files');
    expect(checkFiles([file('folder', '', 0)])?.message).toContain('folder');
    expect(checkFiles([])).not.toBeNull();
  });
});

describe('the name of a brand', () => {
  it.each(['', ' ', 'a/b', '..', 'x'.repeat(101)])('is not %j', (name) => {
    expect(checkBrand(name)).not.toBeNull();
  });
  it.each([
    ['Acme_product-export 2024-05-01 (1).csv.gz', 'acme'],
    ['urls.csv', ''],
    ['North Face v2.xlsx', 'north face'],
  ])('of %s is %j', (file, name) => {
    expect(brandOfFile(file)).toBe(name);
  });
  it.each([
    ['https://shop.example.co.uk/list', 'example'],
    ['example.com', 'example'],
    ['http://127.0.0.1:80/x.csv', ''],
    ['http://localhost/', ''],
  ])('at %s is %j', (address, name) => {
    expect(brandOfAddress(address)).toBe(name);
  });
  it('is that of all addresses, or none', () => {
    expect(brandOfUrls(['https://cdn.acme.com/1', 'https://img.acme.com/2'])).toBe('acme');
    expect(brandOfUrls(['https://acme.com/1', 'https://other.com/2'])).toBe('');
  });
});

const report = (over: Partial<SourceCheck> = {}): SourceCheck => ({
  source: 'upload:1',
  brand: null,
  lists: [],
  brands: [],
  first_rows: [],
  rows_read: 2,
  items: 2,
  rows_merged: 0,
  rows_refused: 0,
  items_failed: 0,
  problems: [],
  whole: true,
  ...over,
});

const listed = (
  columns: string[],
  url_columns: string[],
  brand_column: string | null = null,
): SourceCheck['lists'] => [
  {
    name: 'a.csv',
    format: 'CSV',
    encoding: 'utf-8',
    delimiter: 'comma',
    columns,
    url_columns,
    brand_column,
    notes: [],
    key_column: null,
    samples: {},
    problem: null,
  },
];

describe('columns', () => {
  it('are written behind a source, and read again', () => {
    const mapping = { urls: ['Photo', 'Photo & 2'], brand: '', key: 'SKU' };
    const source = withColumns('upload:7', mapping);
    expect(source).toBe('upload:7#url-column=Photo&url-column=Photo+%26+2&brand-column=&key=SKU');
    expect(columnsOf(source)).toEqual(mapping);
    expect(withColumns(source, { urls: ['B'], brand: null, key: null })).toBe(
      'upload:7#url-column=B',
    );
    expect(withColumns('manifest:a.csv#ignore-query=sig&key=X', FOUND)).toBe(
      'manifest:a.csv#ignore-query=sig',
    );
    expect(columnsOf('manifest:/a#b')).toEqual(FOUND);
    expect([hasColumns(source), hasColumns('page:https://a')]).toEqual([true, false]);
  });

  it('are used in one way each', () => {
    let mapping = withUse('Foto', 'picture', { urls: ['url'], brand: 'brand', key: null });
    expect(mapping).toEqual({ urls: ['url', 'Foto'], brand: 'brand', key: null });
    mapping = withUse('brand', 'key', mapping);
    expect(mapping).toEqual({ urls: ['url', 'Foto'], brand: '', key: 'brand' });
    mapping = withUse('url', 'kept', withUse('owner', 'brand', mapping));
    expect(mapping).toEqual({ urls: ['Foto'], brand: 'owner', key: 'brand' });
    expect(['Foto', 'owner', 'brand', 'url'].map((name) => useOf(name, mapping))).toEqual([
      'picture',
      'brand',
      'key',
      'kept',
    ]);
  });

  it('are taken by their values', () => {
    const samples = {
      SKU: ['1', '2'],
      Page: ['https://a/shoe'],
      Foto: ['https://a/1.jpg', 'https://a/2.png?w=3'],
      Mixed: ['https://a/1.jpg', 'none'],
      Empty: [],
    };
    expect(likely(Object.keys(samples), samples)).toBe('Foto');
    expect(likely(['Page', 'Mixed'], samples)).toBe('Page');
    expect(likely(['SKU', 'Mixed', 'Empty', 'Unknown'], samples)).toBeNull();
  });
});

describe('bringing', () => {
  let Bringing: typeof Made;
  let ApiError: typeof import('../src/api/client').ApiError;

  beforeAll(async () => {
    vi.stubGlobal('sessionStorage', { getItem: () => null, setItem() {}, removeItem() {} });
    vi.stubGlobal('location', { origin: 'https://triptych.example' });
    ({ Bringing } = await import('../src/bring/bringing.svelte'));
    ({ ApiError } = await import('../src/api/client'));
    return () => vi.unstubAllGlobals();
  });

  /** A server that notes what it is asked for; `answer` is what it checks. */
  function server(
    answer: (source: string) => SourceCheck | Error,
    types: Server['types'] = () => Promise.resolve(TYPES),
  ) {
    const asked: string[] = [];
    const made: Server = {
      types,
      check: (origin, brand) => {
        const what = 'source' in origin ? origin.source : `urls ${origin.urls.length}`;
        asked.push(`check ${what}${brand ? ` for ${brand}` : ''}`);
        const found = answer(what);
        return found instanceof Error ? Promise.reject(found) : Promise.resolve(found);
      },
      upload: (file, progress) => {
        asked.push(`upload ${file.name}`);
        progress(0.5);
        return Promise.resolve({ source: 'upload:1' } as Awaited<ReturnType<Server['upload']>>);
      },
      start: (brand, origin, replace) => {
        const what = origin === null ? 'usual' : 'source' in origin ? origin.source : 'urls';
        asked.push(`start ${brand} ${what}${replace ? ' replacing' : ''}`);
        return Promise.resolve({ run: 'r1' } as TaskShown);
      },
    };
    return { asked, bringing: new Bringing(made) };
  }
  const csv = (name = 'acme.csv') => new File(['x'], name, { type: 'text/csv' });

  it('sends a file once, checks it, names it and starts it', async () => {
    const { asked, bringing } = server(() => report({ lists: listed(['url'], ['url']) }));
    expect(bringing.takeFiles([csv()])).toBe(true);
    await bringing.toCheck();
    await bringing.check();
    expect(bringing.step).toBe('check');
    bringing.toStart();
    expect(bringing.name).toBe('acme');
    expect(await bringing.start()).toEqual({ run: 'r1' });
    expect(asked).toEqual([
      'upload acme.csv',
      'check upload:1',
      'check upload:1',
      'start acme upload:1',
    ]);
  });

  const problem = 'No column holds URLs.';
  const samples = { SKU: ['1'], Foto: ['https://a/1.jpg'] };
  /** A list whose columns are called as no column of addresses is. */
  const unnamed = (source: string): SourceCheck => {
    const [list] = listed(['SKU', 'Foto'], source.includes('=Foto') ? ['Foto'] : []);
    const wrong = source.includes('#') ? null : problem;
    return report({ lists: [{ ...list!, samples, problem: wrong }] });
  };

  it('finds the column with addresses by its values, and says which', async () => {
    const { asked, bringing } = server(unnamed);
    bringing.takeFiles([csv()]);
    await bringing.toCheck();
    expect([bringing.guessed, bringing.refused, bringing.problem]).toEqual(['Foto', null, null]);
    expect(asked.at(-1)).toBe('check upload:1#url-column=Foto');
    await bringing.use('SKU', 'key');
    expect(asked.at(-1)).toBe('check upload:1#url-column=Foto&brand-column=&key=SKU');
    await bringing.use('Foto', 'kept');
    expect(bringing.refused?.message).toContain('Choose the column');
    expect([bringing.usable, bringing.names]).toEqual([false, ['SKU', 'Foto']]);
    await bringing.use('Foto', 'picture');
    expect([bringing.usable, bringing.guessed]).toEqual([true, null]);
  });

  it('lets the column be chosen where no values are addresses', async () => {
    const { asked, bringing } = server((source) => {
      const found = unnamed(source);
      return { ...found, lists: [{ ...found.lists[0]!, samples: { SKU: ['1'], Foto: ['x'] } }] };
    });
    bringing.takeFiles([csv()]);
    await bringing.toCheck();
    expect([bringing.problem, bringing.usable, bringing.guessed]).toEqual([problem, false, null]);
    expect(asked).toEqual(['upload acme.csv', 'check upload:1']);
    await bringing.use('Foto', 'picture');
    expect([bringing.problem, bringing.usable]).toEqual([null, true]);
    expect(asked.at(-1)).toBe('check upload:1#url-column=Foto&brand-column=');
  });

  it('takes pasted addresses as they are, and one address by its kind', async () => {
    const { asked, bringing } = server(() => report());
    await bringing.loadTypes();
    bringing.takeText('https://cdn.acme.com/1.jpg\nhttps://cdn.acme.com/2.jpg');
    await bringing.toCheck();
    bringing.takeText('https://acme.com/shop');
    expect([bringing.step, bringing.found, bringing.scheme]).toEqual(['bring', null, 'page']);
    bringing.choose('shopify');
    await bringing.toCheck();
    bringing.toStart();
    expect(bringing.name).toBe('acme');
    expect(asked).toEqual(['check urls 2', 'check shopify:https://acme.com/shop']);
  });

  it('waits for the kinds of sources before it says that an address is none', async () => {
    let answer = (_types: readonly SourceTypeShown[]): void => undefined;
    const { asked, bringing } = server(
      () => report(),
      () => new Promise((resolve) => (answer = resolve)),
    );
    bringing.takeText('manifest:/srv/acme.csv');
    const going = bringing.toCheck();
    expect([bringing.busy, bringing.refused, bringing.step]).toEqual([true, null, 'bring']);
    answer(TYPES);
    await going;
    expect([bringing.busy, bringing.refused, bringing.step]).toEqual([false, null, 'check']);
    expect(asked).toEqual(['check manifest:/srv/acme.csv']);
  });

  it('says why the kinds of sources could not be loaded, and loads them again', async () => {
    let types: readonly SourceTypeShown[] | null = null;
    const { bringing } = server(
      () => report(),
      () => (types ? Promise.resolve(types) : Promise.reject(new ApiError(503, {}))),
    );
    bringing.takeText('manifest:/srv/acme.csv');
    await bringing.toCheck();
    expect(bringing.typesError).toBeInstanceOf(ApiError);
    expect([bringing.busy, bringing.refused, bringing.step]).toEqual([false, null, 'bring']);
    types = TYPES;
    await bringing.toCheck();
    expect([bringing.typesError, bringing.step]).toEqual([undefined, 'check']);
  });

  it('says what is missing, and keeps what was given', async () => {
    const { asked, bringing } = server(() => new ApiError(422, { detail: 'No.', remedy: 'Do.' }));
    await bringing.toCheck();
    expect(bringing.refused?.message).toContain('Bring a file');
    bringing.takeText('hello');
    await bringing.toCheck();
    expect(bringing.refused?.message).toContain('Choose what it is');
    bringing.choose('catalog');
    await bringing.toCheck();
    expect(bringing.refused).toMatchObject({ message: 'No.', remedy: 'Do.' });
    bringing.rename('acme');
    await bringing.check();
    bringing.back();
    expect([bringing.step, bringing.text]).toEqual(['bring', 'hello']);
    expect(asked).toEqual(['check catalog:hello', 'check catalog:hello for acme']);
  });

  it('offers the brands of a list, and no others', async () => {
    const { bringing } = server(() =>
      report({ lists: listed(['url', 'brand'], ['url'], 'brand'), brands: ['nike', 'adidas'] }),
    );
    bringing.takeFiles([csv()]);
    await bringing.toCheck();
    bringing.toStart();
    expect([bringing.name, bringing.brands]).toEqual(['', ['nike', 'adidas']]);
    bringing.rename('acme');
    expect(await bringing.start()).toBeNull();
    expect(bringing.wrongName).toContain('no such brand');
    bringing.rename('nike');
    expect(await bringing.start()).not.toBeNull();
  });

  it('runs a brand that exists from its usual source', async () => {
    const { asked, bringing } = server(() => report());
    bringing.runAgain('acme');
    await bringing.start();
    bringing.back();
    expect([bringing.step, bringing.name, asked]).toEqual(['bring', '', ['start acme usual']]);
  });

  it('names the run that is in the way', async () => {
    const inWay = new ApiError(409, { detail: 'Active.', run: 'r0', source: 'feed:x' });
    const taken = new Bringing({
      types: () => Promise.resolve(TYPES),
      check: () => Promise.resolve(report()),
      upload: () => Promise.reject(new Error('unused')),
      start: () => Promise.reject(inWay),
    });
    taken.runAgain('acme');
    expect(await taken.start()).toBeNull();
    expect(taken.active).toEqual({ run: 'r0', source: 'feed:x' });
  });

  it('stops what is sent, and keeps the file', async () => {
    const stopped = new Bringing({
      types: () => Promise.resolve(TYPES),
      check: () => Promise.resolve(report()),
      upload: (_file, _progress, signal) =>
        new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError'))),
        ),
      start: () => Promise.reject(new Error('unused')),
    });
    stopped.takeFiles([csv()]);
    const checking = stopped.toCheck();
    expect(stopped.sent).toBe(0);
    stopped.cancel();
    await checking;
    expect([stopped.sent, stopped.busy, stopped.file?.name]).toEqual([null, false, 'acme.csv']);
    expect(stopped.refused?.message).toContain('still here');
  });
});
