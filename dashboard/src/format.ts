/** Numbers, times and sizes as the reader's locale writes them. */

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const percentage = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 });
const likely = new Intl.NumberFormat(undefined, {
  style: 'percent',
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const cosines = new Intl.NumberFormat(undefined, {
  minimumFractionDigits: 3,
  maximumFractionDigits: 3,
});
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const brief = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: 'numeric',
  minute: '2-digit',
});
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' });
const minute = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' });

export const count = (value: number): string => whole.format(value);
/** 12.4K where there is little room. */
export const compact = (value: number): string =>
  value < 10_000 ? whole.format(value) : short.format(value);
export const percent = (share: number): string => percentage.format(share);
/** Always with a decimal, so that many stand in line. */
export const likelihood = (share: number): string => likely.format(share);
/** How alike two embeddings are. */
export const cosine = (value: number): string => cosines.format(value);
export const decimal = (value: number): string => tenth.format(value);
export const when = (time: string): string => moment.format(new Date(time));
export const whenBrief = (time: string): string => brief.format(new Date(time));
/** The time of day, with the date when that is not today's. */
export const clockOrDate = (time: string, now: number): string =>
  new Date(time).toDateString() === new Date(now).toDateString() ? clockTime(time) : when(time);
/** A day with its weekday. */
export const wholeDay = (time: string): string => day.format(new Date(time));
export const hourMinute = (time: string): string => minute.format(new Date(time));
export const clockTime = (time: string): string => clock.format(new Date(time));

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "3 min. ago": how long before `now` (milliseconds) something was. */
export function ago(time: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  for (const [unit, size] of UNITS) {
    if (seconds >= size) return relative.format(-Math.floor(seconds / size), unit);
  }
  return relative.format(-Math.floor(seconds / 10) * 10, 'second');
}

/** 1:02:03, or 0:07. */
export function duration(seconds: number): string {
  const left = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(left / 3600), Math.floor(left / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}

/** Seconds with as much precision as they deserve. */
export function seconds(value: number): string {
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 120 ? `${tenth.format(value)} s` : duration(value);
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${tenth.format(value)} ${units[unit]}`;
}

export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${whole.format(value)} ${value === 1 ? one : many}`;

/** `not_found` as it is said. */
export const spoken = (name: string): string => name.replaceAll('_', ' ');
