/**
 * The queue of pictures to load. The newest is loaded first, since it is what the reader looks at;
 * one that was scrolled out of view is taken off.
 */

const AT_ONCE = 8;

type Work = () => Promise<unknown>;
const waiting: Work[] = [];
let busy = 0;

/** Run `work` when there is room; call the returned function to take it off the queue. */
export function enqueueLoad(work: Work): () => void {
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
