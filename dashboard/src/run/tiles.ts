/** How a run's items are laid out as tiles, and which tile shows what. */

export interface Layout {
  columns: number;
  rows: number;
  /** Pixels from one tile to the next. */
  pitch: number;
  tiles: number;
  /** Items that one tile stands for. */
  each: number;
}

const PITCH_MIN = 9;
const PITCH_MAX = 30;

export function layout(items: number, width: number, height: number): Layout {
  if (items <= 0 || width < PITCH_MIN || height < PITCH_MIN)
    return { columns: 0, rows: 0, pitch: PITCH_MAX, tiles: 0, each: 1 };
  let pitch = Math.min(PITCH_MAX, Math.floor(Math.sqrt((width * height) / items)));
  const fits = (size: number): number => Math.floor(width / size) * Math.floor(height / size);
  while (pitch > PITCH_MIN && fits(pitch) < items) pitch -= 1;
  pitch = Math.max(pitch, PITCH_MIN);
  const columns = Math.min(items, Math.floor(width / pitch));
  const each = Math.max(1, Math.ceil(items / fits(pitch)));
  const tiles = Math.ceil(items / each);
  return {
    columns,
    rows: Math.ceil(tiles / columns),
    pitch: even(width, columns, pitch),
    tiles,
    each,
  };
}

/** As far as a row is nearly full, its tiles share the width evenly. */
function even(width: number, columns: number, pitch: number): number {
  return columns * (pitch + 3) > width ? width / columns : pitch;
}

export type Kind = 'done' | 'failed' | 'out' | 'waiting';

export interface Counts {
  expected: number;
  done: number;
  failed: number;
  out: number;
}

/** Done grows from the beginning, failed from the end, and between them the others wait. */
export function kindOf(tile: number, { tiles, each }: Layout, counts: Counts): Kind {
  const doneUntil = counts.done / each;
  if (tile + 0.5 < doneUntil) return 'done';
  const failedFrom = tiles - Math.ceil(counts.failed / each);
  if (tile >= failedFrom) return 'failed';
  return tile < doneUntil + Math.ceil(counts.out / each) ? 'out' : 'waiting';
}
