import { expect, test } from 'vitest';

import { describeEvent } from '../src/run/events';
import { rowsRead } from '../src/run/rows';
import { run } from './run';

test('rows are shown if they are not the URLs', () => {
  expect(rowsRead(run({ expected: 4, rows_read: 4 }))).toBe('');
  expect(rowsRead(run({ expected: 2, rows_read: 4, rows_merged: 1, rows_refused: 1 }))).toBe(
    '4 rows read: 2 URLs + 1 merged + 1 without a URL',
  );
});

test('what a file was found to be is in the timeline', () => {
  const data = {
    name: 'a.csv',
    format: 'CSV',
    encoding: 'windows-1252',
    delimiter: 'semicolon',
    url_columns: ['Foto'],
    notes: ['It is not UTF-8.'],
  };
  const event = { seq: 1, at: '2026-01-01T00:00:00Z', kind: 'list', data };
  expect(describeEvent(event).text).toBe(
    'a.csv: CSV (windows-1252, semicolon), URLs in Foto. It is not UTF-8.',
  );
});
