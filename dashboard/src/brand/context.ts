/** What the tabs of a brand share. */

import type { Cluster } from '../api/insights';
import type { InsightsShown } from '../api/types';
import type { BrandState } from '../live/protocol';

export interface BrandView {
  name: string;
  brand: BrandState;
  insights: InsightsShown;
}

/** What a step found; null if it did not run or failed. */
export function found<T>(insights: InsightsShown | undefined, kind: string): T | null {
  const insight = insights?.items.find((each) => each.kind === kind);
  return (insight?.result ?? null) as T | null;
}

export const failure = (insights: InsightsShown, kind: string): string | null =>
  insights.items.find((each) => each.kind === kind)?.error ?? null;

/** What a cluster is called: not every one has a name. */
export const clusterName = ({ label }: Pick<Cluster, 'label'>, place: number): string =>
  label || `Cluster ${place + 1}`;

const ORIGINS = {
  names: 'named after the file names',
  metadata: 'named after the titles',
  text: 'named after the text in the pictures',
  tag: 'named after what the pictures show',
};

/** Where a cluster's name comes from, in words; empty for one that has none or does not say. */
export const labelOrigin = ({ label_from }: Pick<Cluster, 'label_from'>): string =>
  label_from ? ORIGINS[label_from] : '';
