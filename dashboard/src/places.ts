/** The views that have tabs, and the words for them: on the tabs, in titles and in the palette. */

export interface Tab {
  name: string;
  text: string;
  /** For operators only: it tells of the installation. */
  operator?: boolean;
}

export const BRAND_TABS: readonly Tab[] = [
  { name: 'gallery', text: 'Gallery' },
  { name: 'map', text: 'Map' },
  { name: 'duplicates', text: 'Duplicates' },
  { name: 'clusters', text: 'Clusters' },
  { name: 'look', text: 'Look' },
  { name: 'compare', text: 'Compare' },
  { name: 'snapshots', text: 'Snapshots' },
  { name: 'exports', text: 'Exports' },
];

export const SYSTEM_TABS: readonly Tab[] = [
  { name: 'queues', text: 'Health' },
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
