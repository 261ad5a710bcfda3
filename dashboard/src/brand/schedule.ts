/**
 * Schedules as people set them: every day, some days of the week, a day of the month; or as cron.
 * All of it is in UTC, as the server keeps it: a schedule does not move when clocks change.
 */

export type Rhythm = 'never' | 'daily' | 'weekly' | 'monthly' | 'cron';

export interface Plan {
  rhythm: Rhythm;
  /** Of UTC, `03:00`. */
  time: string;
  /** Of the week, as cron numbers them: Sunday is 0. */
  days: readonly number[];
  /** Of the month, 1 to 28, or `L` for the last. */
  day: string;
  cron: string;
}

export const RHYTHMS: Record<Rhythm, string> = {
  never: 'Only when somebody starts it',
  daily: 'Every day',
  weekly: 'Every week',
  monthly: 'Every month',
  cron: 'By a cron expression',
};

export const WEEKDAYS: readonly [number, string, string][] = [
  [1, 'Mon', 'Monday'],
  [2, 'Tue', 'Tuesday'],
  [3, 'Wed', 'Wednesday'],
  [4, 'Thu', 'Thursday'],
  [5, 'Fri', 'Friday'],
  [6, 'Sat', 'Saturday'],
  [0, 'Sun', 'Sunday'],
];

/** Days that every month has; then the last one. */
export const MONTH_DAYS: readonly string[] = [
  ...Array.from({ length: 28 }, (_, place) => String(place + 1)),
  'L',
];

const AT = /^(\d{1,2}) (\d{1,2}) (\*|\d{1,2}|L) \* (\*|[0-6](?:,[0-6])*)$/;
const two = (value: number | string): string => String(value).padStart(2, '0');

/** Read a cron expression as a plan; what no rhythm has stays cron. */
export function readPlan(cron: string): Plan {
  const plan = { time: '03:00', days: [1], day: '1', cron: cron.trim() };
  if (!plan.cron) return { ...plan, rhythm: 'never' };
  const found = AT.exec(plan.cron.replace(/\s+/g, ' '));
  const [, minute = '', hour = '', day = '', days = ''] = found ?? [];
  if (!found || Number(minute) > 59 || Number(hour) > 23) return { ...plan, rhythm: 'cron' };
  const timed = { ...plan, time: `${two(hour)}:${two(minute)}` };
  if (day === '*' && days === '*') return { ...timed, rhythm: 'daily' };
  if (day === '*') return { ...timed, rhythm: 'weekly', days: days.split(',').map(Number) };
  if (days === '*' && MONTH_DAYS.includes(day)) return { ...timed, rhythm: 'monthly', day };
  return { ...plan, rhythm: 'cron' };
}

/** Write a plan as cron; empty for none, or while no day is chosen. */
export function writePlan({ rhythm, time, days, day, cron }: Plan): string {
  if (rhythm === 'never') return '';
  if (rhythm === 'cron') return cron.trim();
  const [hour, minute] = time.split(':').map(Number);
  if (hour === undefined || minute === undefined || Number.isNaN(hour + minute)) return '';
  const at = `${minute} ${hour}`;
  if (rhythm === 'daily') return `${at} * * *`;
  if (rhythm === 'monthly') return `${at} ${day} * *`;
  return days.length ? `${at} * * ${[...days].sort((a, b) => a - b).join(',')}` : '';
}

/** The reader's zone, by its name. */
export const zone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

const ZONED: Intl.DateTimeFormatOptions = {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  timeZoneName: 'short',
};

/** A time as the reader's clock will show it, with the zone that is in force then. */
export const zoned = (time: string): string =>
  new Intl.DateTimeFormat(undefined, ZONED).format(new Date(time));
