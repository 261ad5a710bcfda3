/**
 * Turns at loading pictures: the newest who asked goes first, since it is what is looked at now,
 * and whoever has scrolled away by then gives its turn up.
 */

const AT_ONCE = 8;

type Work = () => Promise<unknown>;
const waiting: Work[] = [];
let busy = 0;

/** Do work when its turn comes; call what is returned to give it up. */
export function turn(work: Work): () => void {
  waiting.push(work);
  next();
  return () => {
    const place = waiting.indexOf(work);
    if (place >= 0) waiting.splice(place, 1);
  };
}

function next(): void {
  while (busy < AT_ONCE) {
    const work = waiting.pop();
    if (!work) return;
    busy += 1;
    void work().finally(() => {
      busy -= 1;
      next();
    });
  }
}
