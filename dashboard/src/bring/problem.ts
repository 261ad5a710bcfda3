import reasons from '../api/reasons.json';

/** Return a problem of a row without the reason's name in front, which is for programs. */
export function inWords(problem: string): string {
  const [, reason = '', rest = ''] = /^([a-z_]+): (.*)$/s.exec(problem) ?? [];
  return reason in reasons ? rest : problem;
}
