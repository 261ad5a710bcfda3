/** The kinds of sources that the server has. */

import { api, data } from './client';
import type { SourceTypeShown } from './types';

export const listSources = async (): Promise<SourceTypeShown[]> =>
  (await data(api.GET('/api/v1/sources'))).items;
