/** The rows of a run's source: each is a URL, is merged with another one, or is refused. */

import type { RunShown } from '../api/types';
import { count, plural } from '../format';

/** "4 rows read: 2 URLs + 1 merged + 1 without a URL"; nothing if each row is a URL of its own. */
export function rowsRead(run: RunShown): string {
  const read = run.rows_read;
  const refused = run.rows_refused;
  if (read === run.expected && !refused) return '';
  const parts = [plural(run.expected, 'URL')];
  if (run.rows_merged) parts.push(`${count(run.rows_merged)} merged`);
  if (refused) parts.push(`${count(refused)} without a URL`);
  return `${plural(read, 'row')} read: ${parts.join(' + ')}`;
}
