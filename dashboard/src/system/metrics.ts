/** What the page reads of the server's metrics (Prometheus' text form). */

export interface Figures {
  /** Of this process: WebSockets that are open. */
  clients: number | null;
}

export function parseMetrics(text: string): Figures {
  return { clients: sum(text, 'triptych_live_clients') };
}

function sum(text: string, name: string): number | null {
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith(name) && /[{ ]/.test(line[name.length] ?? ''));
  if (lines.length === 0) return null;
  return lines.reduce((all, line) => all + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
