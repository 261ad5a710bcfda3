/** What the API answers, by name. */

import type { components } from './schema';

type Schemas = components['schemas'];
export type RunShown = Schemas['RunShown'];
export type BrandShown = Schemas['BrandShown'];
export type AssetShown = Schemas['AssetShown'];
export type QueueShown = Schemas['QueueShown'];
export type EventShown = Schemas['EventShown'];
export type SnapshotShown = Schemas['SnapshotShown'];
export type DifferenceShown = Schemas['DifferenceShown'];
export type DifferenceCounts = Schemas['DifferenceCountsShown'];
export type InsightsShown = Schemas['InsightsShown'];
export type FacetsShown = Schemas['FacetsShown'];
export type FailuresShown = Schemas['FailuresShown'];
export type FailedItemShown = Schemas['FailedItemShown'];
export type DeadLetterShown = Schemas['DeadLetterShown'];
export type WorkerShown = Schemas['WorkerShown'];
export type SettingShown = Schemas['SettingShown'];
export type TaskShown = Schemas['TaskShown'];
export type WebhookShown = Schemas['WebhookShown'];
export type DeliveryShown = Schemas['DeliveryShown'];
export type AuditShown = Schemas['AuditShown'];
export type IdentityShown = Schemas['IdentityShown'];
export type Upload = Schemas['Upload'];
export type SourceCheck = Schemas['SourceCheckShown'];
export type RunKind = Schemas['RunKind'];
export type RunState = Schemas['RunState'];
export type AiState = Schemas['AiState'];
export type TaskState = Schemas['TaskState'];
export type ExportFormat = Schemas['ExportFormat'];
export type SourceTypeShown = Schemas['SourceTypeShown'];
export type ExportFormatShown = Schemas['ExportFormatShown'];
export type Reason = Schemas['Reason'];
export type Problem = Schemas['Problem'];
export type Phase = RunShown['phase'];
