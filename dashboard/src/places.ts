/** The main pages and the views that have tabs, and the words for them wherever they are named. */

import type { Route } from './router.svelte';

export interface Tab {
  name: string;
  text: string;
  /** For operators only: it tells of the installation. */
  operator?: boolean;
}

export interface MainPage {
  text: string;
  href: string;
  icon: 'cards' | 'play' | 'search' | 'rows';
  /** The routes that belong to it. */
  pages: readonly Route['page'][];
  /** The key that leads to it, after `g`. */
  key: string;
}

export const MAIN_PAGES: readonly MainPage[] = [
  { text: 'Brands', href: '/', icon: 'cards', pages: ['home', 'brand'], key: 'b' },
  { text: 'Runs', href: '/runs', icon: 'play', pages: ['runs', 'run'], key: 'r' },
  { text: 'Search', href: '/search', icon: 'search', pages: ['search'], key: 's' },
  { text: 'System', href: '/system', icon: 'rows', pages: ['system', 'docs'], key: 'y' },
];

export const BRAND_TABS: readonly Tab[] = [
  { name: 'gallery', text: 'Gallery' },
  { name: 'map', text: 'Map' },
  { name: 'duplicates', text: 'Duplicates' },
  { name: 'clusters', text: 'Clusters' },
  { name: 'look', text: 'Look' },
  { name: 'compare', text: 'Compare' },
  { name: 'snapshots', text: 'Snapshots' },
  { name: 'history', text: 'History' },
  { name: 'exports', text: 'Exports' },
];

export const SYSTEM_TABS: readonly Tab[] = [
  { name: 'queues', text: 'Health' },
  { name: 'limits', text: 'Pause and pace' },
  { name: 'letters', text: 'Dead letters' },
  { name: 'settings', text: 'Settings', operator: true },
  { name: 'webhooks', text: 'Webhooks', operator: true },
  { name: 'audit', text: 'Audit', operator: true },
];

/** A browser tab's title: what is special about the view first, as tabs are cut at their end. */
export function titled(...parts: readonly (string | undefined)[]): string {
  return [...parts.filter(Boolean), 'Triptych'].join(' · ');
}

export function textOf(tabs: readonly Tab[], name: string): string | undefined {
  return tabs.find((tab) => tab.name === name)?.text;
}
