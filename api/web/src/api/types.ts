import type { components } from "./schema";

type Schemas = components["schemas"];

export type Me = Schemas["Me"];
export type MyOrganization = Schemas["MyOrganization"];
export type Conflict = Schemas["Conflict"];
export type ConflictField = Schemas["ConflictField"];
export type ConflictSummary = Schemas["ConflictSummary"];
export type DeadLetter = Schemas["DeadLetter"];
export type Failure = Schemas["Failure"];
export type Job = Schemas["Job"];
export type JobProgress = Schemas["JobProgress"];
export type Kpi = Schemas["Kpi"];
export type LiveEvent = Schemas["LiveEvent"];
export type QueuedChange = Schemas["QueuedChange"];
export type RollbackRecord = Schemas["RollbackRecord"];
export type SyncStatus = Schemas["SyncStatus"];
export type OrganizationStatus = Schemas["OrganizationStatus"];
export type Setting = Schemas["Setting"];
export type TimelineEvent = Schemas["TimelineEvent"];
export type AuditEntry = Schemas["AuditEntry"];
export type Alert = Schemas["Alert"];
export type AlertRule = Schemas["AlertRule"];
export type AlertChannel = Schemas["AlertChannel"];
export type Notification = Schemas["Notification"];
export type PemsSystem = Schemas["PemsSystem"];
export type PemsCredentials = Schemas["PemsCredentials"];
export type DrainForecast = Schemas["DrainForecast"];

/** A value of a field of a record. */
export type Value = string | number | boolean | null | undefined;

/** The fields of a record, or some of them. */
export type Values = Record<string, Value>;

/** A fault that the rules found in a draft. */
export type DraftFault = { field?: string | null; code: string; message: string };

/** A conflict that a commit of a draft would raise. */
export type DraftConflict = { field: string; base?: Value; ours?: Value; theirs?: Value };

/** What a resolution would do, with its free parts typed. */
export type ResolutionCheck = Omit<Schemas["ResolutionCheck"], "sends" | "errors"> & {
  sends: Values;
  errors: DraftFault[];
};

export type RecordEdit = Schemas["RecordEdit"];

/** What an edit would make of records, with its free parts typed. */
export type EditPreview = Omit<Schemas["EditPreview"], "sample"> & {
  sample: { pfaId: string; before: Values; after: Values; errors: DraftFault[] }[];
};

/** A record in a list, with its free parts typed. */
export type RecordRow = Omit<Schemas["Record"], "data" | "base" | "errors" | "conflicts" | "authors"> & {
  data: Values;
  base?: Values | null;
  errors?: DraftFault[] | null;
  conflicts?: DraftConflict[] | null;
  authors: { userId: string; userName: string }[];
};

/** A change of a record in the queue. */
export type QueueEntry = {
  queueId: string;
  status: string;
  modificationId: string;
  changes?: Values | null;
  author?: string;
  authorName?: string;
  retryCount?: number;
  scheduledAt?: string;
  lastError?: string | null;
  createdAt?: string;
};

/** One record with all that is known of it, with its free parts typed. */
export type WholeRecord = Omit<Schemas["WholeRecord"], "data" | "merged" | "draft" | "others" | "queue"> & {
  data: Values;
  merged?: Values | null;
  draft?: {
    delta: Values;
    base: Values;
    errors: DraftFault[] | null;
    conflicts: DraftConflict[] | null;
    missingPermissions: string[] | null;
    modificationId: string;
    reason: string | null;
    savedAt: string;
  } | null;
  others: {
    userId: string;
    userName: string;
    fields: string[];
    state: string;
    changedAt: string;
    modificationId: string;
  }[];
  queue: QueueEntry[];
};
