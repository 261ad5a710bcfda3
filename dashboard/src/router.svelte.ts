/** Addresses: every view has one, and going back goes back. */

export type Route =
  | { page: 'home' }
  | { page: 'run'; id: string }
  | { page: 'runs' }
  | { page: 'brand'; name: string; tab: string }
  | { page: 'search' }
  | { page: 'system'; tab: string }
  | { page: 'docs' }
  | { page: 'nowhere' };

export function read(path: string): Route {
  const parts = path.split('/').filter(Boolean).map(decoded);
  const [first, second, third] = parts;
  if (parts.length === 0) return { page: 'home' };
  if (first === 'runs' && parts.length === 1) return { page: 'runs' };
  if (first === 'runs' && second && parts.length === 2) return { page: 'run', id: second };
  if (first === 'brands' && second && parts.length <= 3)
    return { page: 'brand', name: second, tab: third ?? 'gallery' };
  if (first === 'search' && parts.length === 1) return { page: 'search' };
  if (first === 'system' && parts.length <= 2) return { page: 'system', tab: second ?? 'queues' };
  if (path === urls.docs() || path === `${urls.docs()}/`) return { page: 'docs' };
  return { page: 'nowhere' };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const urls = {
  home: () => '/',
  run: (id: string) => `/runs/${id}`,
  runs: (query: Record<string, string> = {}) => withQuery('/runs', query),
  brand: (name: string, tab = 'gallery') =>
    `/brands/${encodeURIComponent(name)}${tab === 'gallery' ? '' : `/${tab}`}`,
  search: (query: Record<string, string> = {}) => withQuery('/search', query),
  docs: () => '/api/docs',
  system: (tab = 'queues') => (tab === 'queues' ? '/system' : `/system/${tab}`),
};

export function withQuery(path: string, query: Record<string, string | null | undefined>): string {
  const set = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));
  route = $derived(read(this.path));

  constructor() {
    addEventListener('popstate', () => this.#take());
  }

  #take(): void {
    const moved = this.path !== location.pathname;
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
    if (moved) scrollTo(0, 0);
  }

  go(url: string, { replace = false } = {}): void {
    if (replace) history.replaceState(null, '', url);
    else history.pushState(null, '', url);
    this.#take();
  }

  /** Change parts of the query and stay on the page. */
  setQuery(changes: Record<string, string | null | undefined>, { replace = true } = {}): void {
    const merged = { ...Object.fromEntries(this.query), ...changes };
    this.go(withQuery(this.path, merged), { replace });
  }

  /** Let links within the dashboard change the view without reloading the page. */
  follow = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element).closest('a');
    if (!link || link.target || link.hasAttribute('download')) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin) return;
    if (url.pathname.startsWith('/api/') && read(url.pathname).page === 'nowhere') return;
    event.preventDefault();
    if (url.href !== location.href) this.go(url.pathname + url.search);
  };
}

export const router = new Router();
