/** The events that webhooks can receive, in words. */

import type { components } from '../api/schema';

export type WebhookEvent = components['schemas']['Event'];

export const EVENTS: Record<WebhookEvent, string> = {
  'run.committed': 'A run committed',
  'run.held': 'A run waits for a decision',
  'run.failed': 'A run failed',
  'run.cancelled': 'A run was cancelled',
  'ai.done': 'An AI phase is done',
  'ai.failed': 'An AI phase failed',
};
