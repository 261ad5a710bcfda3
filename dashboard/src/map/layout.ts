/** A brand's map as the API sends it, and where things are on it. */

export interface MapData {
  run: string;
  count: number;
  x: Float32Array;
  y: Float32Array;
  /** Which of `names`, or -1. */
  clusters: Int32Array;
  names: string[];
  /** 16 bytes a point. */
  keys: Uint8Array;
}

const HEADER_BYTES = 32;
const KEY_BYTES = 16;

/** Read the binary form; see the guide to the API. Raises on any other. */
export function readMap(buffer: ArrayBuffer): MapData {
  const view = new DataView(buffer);
  const magic = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
  if (magic !== 'TMAP' || view.getUint32(4, true) !== 1)
    throw new Error('The map has a form that this page does not know. Reload the page.');
  const count = view.getUint32(8, true);
  const namesBytes = view.getUint32(12, true);
  const column = (place: number): number => HEADER_BYTES + 4 * count * place;
  const keysAt = column(3);
  const namesAt = keysAt + KEY_BYTES * count;
  const names = new TextDecoder().decode(new Uint8Array(buffer, namesAt, namesBytes));
  return {
    run: uuid(new Uint8Array(buffer, 16, 16)),
    count,
    x: new Float32Array(buffer, column(0), count),
    y: new Float32Array(buffer, column(1), count),
    clusters: new Int32Array(buffer, column(2), count),
    keys: new Uint8Array(buffer, keysAt, KEY_BYTES * count),
    names: JSON.parse(names) as string[],
  };
}

export const keyAt = (map: MapData, point: number): Uint8Array =>
  map.keys.subarray(point * KEY_BYTES, (point + 1) * KEY_BYTES);

function uuid(bytes: Uint8Array): string {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Points by cells, so that what is near a place is found without looking at all of them. */
export class Grid {
  static readonly SIDE = 192;
  readonly #map: MapData;
  readonly #starts: Uint32Array;
  readonly #points: Uint32Array;
  readonly #left: number;
  readonly #top: number;
  readonly #cell: number;

  constructor(map: MapData) {
    this.#map = map;
    const { left, top, width, height } = bounds(map);
    this.#left = left;
    this.#top = top;
    this.#cell = Math.max(width, height, 1e-6) / (Grid.SIDE - 1);
    const cells = new Uint32Array(map.count);
    this.#starts = new Uint32Array(Grid.SIDE * Grid.SIDE + 1);
    for (let point = 0; point < map.count; point++) {
      const cell = this.#row(map.y[point]!) * Grid.SIDE + this.#column(map.x[point]!);
      cells[point] = cell;
      this.#starts[cell + 1]! += 1;
    }
    for (let cell = 1; cell < this.#starts.length; cell++)
      this.#starts[cell]! += this.#starts[cell - 1]!;
    const next = this.#starts.slice();
    this.#points = new Uint32Array(map.count);
    for (let point = 0; point < map.count; point++) this.#points[next[cells[point]!]!++] = point;
  }

  #column(x: number): number {
    return Math.min(Grid.SIDE - 1, Math.max(0, Math.floor((x - this.#left) / this.#cell)));
  }

  #row(y: number): number {
    return Math.min(Grid.SIDE - 1, Math.max(0, Math.floor((y - this.#top) / this.#cell)));
  }

  /** Every point in the cells that a box touches. */
  *within(left: number, top: number, right: number, bottom: number): Generator<number> {
    const [first, last] = [this.#column(left), this.#column(right)];
    for (let row = this.#row(top); row <= this.#row(bottom); row++) {
      const from = this.#starts[row * Grid.SIDE + first]!;
      const until = this.#starts[row * Grid.SIDE + last + 1]!;
      for (let place = from; place < until; place++) yield this.#points[place]!;
    }
  }

  nearest(x: number, y: number, reach: number): number | null {
    let found: number | null = null;
    let best = reach * reach;
    for (const point of this.within(x - reach, y - reach, x + reach, y + reach)) {
      const [dx, dy] = [this.#map.x[point]! - x, this.#map.y[point]! - y];
      const distance = dx * dx + dy * dy;
      if (distance <= best) [best, found] = [distance, point];
    }
    return found;
  }

  /** The points inside a polygon of x, y, x, y, … */
  inside(polygon: readonly number[]): number[] {
    if (polygon.length < 6) return [];
    const xs = polygon.filter((_, place) => place % 2 === 0);
    const ys = polygon.filter((_, place) => place % 2 === 1);
    const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] as const;
    const found: number[] = [];
    for (const point of this.within(...box))
      if (contains(xs, ys, this.#map.x[point]!, this.#map.y[point]!)) found.push(point);
    return found;
  }
}

/** Even-odd: a ray to the right crosses the edge an odd number of times. */
function contains(xs: readonly number[], ys: readonly number[], x: number, y: number): boolean {
  let inside = false;
  for (let at = 0, before = xs.length - 1; at < xs.length; before = at++) {
    const [xa, ya, xb, yb] = [xs[at]!, ys[at]!, xs[before]!, ys[before]!];
    if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) inside = !inside;
  }
  return inside;
}

type Box = readonly [left: number, top: number, right: number, bottom: number];

/** Patches of half a side: of so many pictures one is tried for each place that one may have. */
const HALVES = 2;
/** Columns of patches that are told apart in one number. */
const STRIDE = 2 ** 20;

/**
 * Choose points whose pictures, so wide, can stand beside each other: for each patch of the map the
 * one nearest its middle, unless its picture would lie on another's. Patches are of the map, not
 * of the screen, so that a choice stays while the map is moved.
 */
export function spread(
  map: MapData,
  points: Iterable<number>,
  [left, top, right, bottom]: Box,
  side: number,
  only: ReadonlySet<number> | null,
): number[] {
  const patch = side / HALVES;
  const best = new Map<number, { point: number; off: number }>();
  for (const point of points) {
    if (only && !only.has(point)) continue;
    const [x, y] = [map.x[point]!, map.y[point]!];
    if (x < left || x > right || y < top || y > bottom) continue;
    const [column, row] = [Math.floor(x / patch), Math.floor(y / patch)];
    const off = Math.abs(x / patch - column - 0.5) + Math.abs(y / patch - row - 0.5);
    const had = best.get(row * STRIDE + column);
    if (!had || off < had.off) best.set(row * STRIDE + column, { point, off });
  }
  const taken = new Map<number, number>();
  return [...best.values()]
    .sort((a, b) => a.off - b.off || a.point - b.point)
    .map(({ point }) => point)
    .filter((point) => takes(map, point, side, taken));
}

/** Take a place if it is free: no picture nearer than one's own width. */
function takes(map: MapData, point: number, side: number, taken: Map<number, number>): boolean {
  const [x, y] = [map.x[point]!, map.y[point]!];
  const [column, row] = [Math.floor(x / side), Math.floor(y / side)];
  for (let near = row - 1; near <= row + 1; near++)
    for (let beside = column - 1; beside <= column + 1; beside++) {
      const other = taken.get(near * STRIDE + beside);
      if (other === undefined) continue;
      if (Math.abs(map.x[other]! - x) < side && Math.abs(map.y[other]! - y) < side) return false;
    }
  taken.set(row * STRIDE + column, point);
  return true;
}

export function bounds(map: MapData): { left: number; top: number; width: number; height: number } {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let point = 0; point < map.count; point++) {
    const [x, y] = [map.x[point]!, map.y[point]!];
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    if (y > bottom) bottom = y;
  }
  if (map.count === 0) return { left: -1, top: -1, width: 2, height: 2 };
  return { left, top, width: right - left, height: bottom - top };
}

/** What of the map is seen: its middle, and pixels to one unit. */
export interface Camera {
  x: number;
  y: number;
  scale: number;
}

const MARGIN = 0.88;

export function fitted(map: MapData, width: number, height: number): Camera {
  const box = bounds(map);
  const scale = Math.min(width / Math.max(box.width, 0.02), height / Math.max(box.height, 0.02));
  return { x: box.left + box.width / 2, y: box.top + box.height / 2, scale: scale * MARGIN };
}
