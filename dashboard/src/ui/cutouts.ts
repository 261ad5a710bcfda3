/** Tells a picture that fills its frame from a mark on nothing, which needs a mat to be seen on. */

const SIDE = 16;
const SEEN = 128;
const LIGHT = 200;
let context: CanvasRenderingContext2D | null = null;

export function kindOf(image: HTMLImageElement): 'whole' | 'cut' | 'light' {
  context ??= sketch();
  if (!context) return 'whole';
  context.clearRect(0, 0, SIDE, SIDE);
  context.drawImage(image, 0, 0, SIDE, SIDE);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  let [clear, sum, seen] = [0, 0, 0];
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3]! < SEEN) {
      clear += 1;
      continue;
    }
    seen += 1;
    sum += 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;
  }
  if (clear < SIDE) return 'whole';
  return seen > 0 && sum / seen > LIGHT ? 'light' : 'cut';
}

function sketch(): CanvasRenderingContext2D | null {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIDE;
  return canvas.getContext('2d', { willReadFrequently: true });
}
