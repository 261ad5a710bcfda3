import { expect, test } from 'vitest';

import { clusterName, labelOrigin } from '../src/brand/context';

test('a cluster is called by its label, and says what that comes from', () => {
  const named = { label: 'air fryer', label_from: 'names' as const };
  expect(clusterName(named, 3)).toBe('air fryer');
  expect(labelOrigin(named)).toBe('named after the file names');
  expect(labelOrigin({ label_from: 'metadata' })).toBe('named after the titles');
  expect(labelOrigin({ label_from: 'tag' })).toBe('named after what the pictures show');
});

test('a cluster without a label has a number and no origin', () => {
  expect(clusterName({ label: null }, 3)).toBe('Cluster 4');
  expect(labelOrigin({ label_from: null })).toBe('');
  expect(labelOrigin({})).toBe('');
});
