/** The kinds of sources that the server has. */

import { api, unwrap } from './client';
import type { SourceTypeShown } from './types';

export const listSources = async (): Promise<SourceTypeShown[]> =>
  (await unwrap(api.GET('/api/v1/sources'))).items;
