/** Files that were dropped on a page before the dialog was open: it takes them when it opens. */

import { shortcuts } from '../shortcuts.svelte';

class Opening {
  files = $state.raw<readonly File[]>([]);

  /** Open the dialog with what was dropped. */
  bring(files: readonly File[]): void {
    this.files = files;
    shortcuts.starting = true;
  }

  /** Return what was dropped, once. */
  take(): readonly File[] {
    const { files } = this;
    this.files = [];
    return files;
  }
}

export const opening = new Opening();
