/** A colour for each cluster: hues as far apart as can be, of one lightness; noise is grey. */

import type { MapData } from './layout';

/** The golden angle: however many there are, neighbours in number are apart in hue. */
const TURN = 0.381966;

export function hueOf(cluster: number): number {
  return (0.08 + cluster * TURN) % 1;
}

/** For CSS, the same colour. */
export const cssOf = (cluster: number, dark: boolean): string => {
  const [red, green, blue] = colourOf(cluster, dark).map((part) => Math.round(part * 255));
  return `rgb(${red} ${green} ${blue})`;
};

export function colourOf(cluster: number, dark: boolean): [number, number, number] {
  if (cluster < 0) return dark ? [0.42, 0.45, 0.43] : [0.62, 0.65, 0.62];
  const [lightness, chroma] = dark ? [0.74, 0.12] : [0.57, 0.13];
  return fromOklch(lightness, chroma, hueOf(cluster) * 2 * Math.PI);
}

/** OKLCH to sRGB (Ottosson, "A perceptual color space for image processing", 2020). */
function fromOklch(lightness: number, chroma: number, hue: number): [number, number, number] {
  const [a, b] = [chroma * Math.cos(hue), chroma * Math.sin(hue)];
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    encoded(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    encoded(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    encoded(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function encoded(linear: number): number {
  const clipped = Math.min(1, Math.max(0, linear));
  return clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055;
}

export function painted(map: MapData, dark: boolean): Float32Array {
  const known = new Map<number, [number, number, number]>();
  const colours = new Float32Array(3 * map.count);
  for (let point = 0; point < map.count; point++) {
    const cluster = map.clusters[point]!;
    let colour = known.get(cluster);
    if (!colour) known.set(cluster, (colour = colourOf(cluster, dark)));
    colours.set(colour, 3 * point);
  }
  return colours;
}
