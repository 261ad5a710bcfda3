import { expect, test } from 'vitest';

import { readPlan, writePlan } from '../src/brand/schedule';

for (const [cron, rhythm] of [
  ['', 'never'],
  ['0 3 * * *', 'daily'],
  ['30 14 * * 0,1,5', 'weekly'],
  ['15 0 28 * *', 'monthly'],
  ['15 0 L * *', 'monthly'],
  ['*/15 * * * *', 'cron'],
  ['0 3 31 * *', 'cron'],
  ['0 3 1 * 1', 'cron'],
  ['0 99 * * *', 'cron'],
  ['0 3 * 1 *', 'cron'],
] as const)
  test(`"${cron}" is read as ${rhythm} and written as it was`, () => {
    const plan = readPlan(cron);
    expect(plan.rhythm).toBe(rhythm);
    expect(writePlan(plan)).toBe(cron);
  });

test('a week without a day, or a time that is not filled in, is no schedule yet', () => {
  expect(writePlan({ ...readPlan('0 3 * * 1'), days: [] })).toBe('');
  expect(writePlan({ ...readPlan('0 3 * * *'), time: '' })).toBe('');
});
