-- The application's own tables as its Prisma migrations leave them before phase 4, for an empty database: the demo and
-- the tests start from here. These are the six tables that pfa_sync binds to, column by column as in
-- tests/fixtures/application/phase3.sql. pfa_sync never creates or owns them; attach() binds to them as they stand.
-- "updatedAt" has no default: Prisma's client supplies it with every write.

create table "organizations" (
    "id" text not null,
    "code" text not null,
    "name" text not null,
    "description" text,
    "isActive" boolean not null default true,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    "logoUrl" text,
    "isExternal" boolean not null default false,
    "externalId" text,
    "serviceStatus" text not null default 'active',
    "suspendedAt" timestamp(3),
    "suspendedBy" text,
    "enableSync" boolean not null default true,
    "location" jsonb,
    "headerConfig" jsonb not null default '{"showLogo":true,"showId":true,"showName":false,"showDescription":false}',
    "ai_ChatAssistant" boolean not null default false,
    "ai_VoiceMode" boolean not null default false,
    "ai_PermissionSuggestions" boolean not null default false,
    "ai_PermissionExplanations" boolean not null default false,
    "ai_RoleDriftDetection" boolean not null default false,
    "ai_NaturalLanguageQueries" boolean not null default false,
    "ai_AnomalyDetection" boolean not null default false,
    "ai_FinancialMonitoring" boolean not null default false,
    "ai_SemanticAuditSearch" boolean not null default false,
    "ai_FinancialMasking" boolean not null default false,
    "ai_VendorPricingWatchdog" boolean not null default false,
    "ai_BeoVoiceAnalyst" boolean not null default false,
    "ai_NarrativeVariance" boolean not null default false,
    "ai_AssetArbitrage" boolean not null default false,
    "ai_ScenarioSimulator" boolean not null default false,
    "ai_SmartNotifications" boolean not null default false,
    "aiAccessLevel" text not null default 'full-access',
    "aiRules" jsonb not null default '[]',
    constraint "organizations_pkey" primary key ("id")
);
create unique index "organizations_code_key" on "organizations" ("code");

create table "users" (
    "id" text not null,
    "username" text not null,
    "email" text,
    "passwordHash" text,
    "firstName" text,
    "lastName" text,
    "role" text not null default 'user',
    "isActive" boolean not null default true,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    "avatarUrl" text,
    "authProvider" text not null default 'local',
    "externalId" text,
    "serviceStatus" text not null default 'active',
    "suspendedAt" timestamp(3),
    "lockedAt" timestamp(3),
    "failedLoginCount" integer not null default 0,
    "metadata" jsonb,
    constraint "users_pkey" primary key ("id")
);
create unique index "users_username_key" on "users" ("username");
create unique index "users_email_key" on "users" ("email");

create table "user_organizations" (
    "id" text not null,
    "userId" text not null,
    "organizationId" text not null,
    "role" text not null default 'member',
    "createdAt" timestamp(3) not null default current_timestamp,
    "assignmentSource" text not null default 'local',
    "externalRoleId" text,
    "isCustom" boolean not null default false,
    "perm_Read" boolean not null default true,
    "perm_EditForecast" boolean not null default false,
    "perm_EditActuals" boolean not null default false,
    "perm_Delete" boolean not null default false,
    "perm_Import" boolean not null default false,
    "perm_RefreshData" boolean not null default false,
    "perm_Export" boolean not null default false,
    "perm_ViewFinancials" boolean not null default false,
    "perm_SaveDraft" boolean not null default false,
    "perm_Sync" boolean not null default false,
    "perm_ManageUsers" boolean not null default false,
    "perm_ManageSettings" boolean not null default false,
    "perm_ConfigureAlerts" boolean not null default false,
    "perm_Impersonate" boolean not null default false,
    "perm_UseAiFeatures" boolean not null default false,
    "perm_ViewAllOrgs" boolean not null default false,
    "ai_ChatAssistant" boolean not null default false,
    "ai_VoiceMode" boolean not null default false,
    "ai_PermissionSuggestions" boolean not null default false,
    "ai_PermissionExplanations" boolean not null default false,
    "ai_RoleDriftDetection" boolean not null default false,
    "ai_NaturalLanguageQueries" boolean not null default false,
    "ai_AnomalyDetection" boolean not null default false,
    "ai_FinancialMonitoring" boolean not null default false,
    "ai_SemanticAuditSearch" boolean not null default false,
    "ai_FinancialMasking" boolean not null default false,
    "ai_VendorPricingWatchdog" boolean not null default false,
    "ai_BeoVoiceAnalyst" boolean not null default false,
    "ai_NarrativeVariance" boolean not null default false,
    "ai_AssetArbitrage" boolean not null default false,
    "ai_ScenarioSimulator" boolean not null default false,
    "ai_SmartNotifications" boolean not null default false,
    "aiAccessLevel" text not null default 'full-access',
    "aiRules" jsonb not null default '[]',
    "grantedBy" text,
    "grantedAt" timestamp(3) not null default current_timestamp,
    "modifiedBy" text,
    "modifiedAt" timestamp(3) not null,
    constraint "user_organizations_pkey" primary key ("id"),
    constraint "user_organizations_organizationId_fkey" foreign key ("organizationId")
        references "organizations" ("id") on delete cascade on update cascade,
    constraint "user_organizations_userId_fkey" foreign key ("userId")
        references "users" ("id") on delete cascade on update cascade
);
create unique index "user_organizations_userId_organizationId_key"
    on "user_organizations" ("userId", "organizationId");

create table "pfa_mirror" (
    "id" text not null,
    "organizationId" text not null,
    "data" jsonb not null,
    "pfaId" text,
    "category" text,
    "class" text,
    "source" text,
    "dor" text,
    "areaSilo" text,
    "manufacturer" text,
    "model" text,
    "monthlyRate" double precision,
    "purchasePrice" double precision,
    "forecastStart" timestamp(3),
    "forecastEnd" timestamp(3),
    "originalStart" timestamp(3),
    "originalEnd" timestamp(3),
    "actualStart" timestamp(3),
    "actualEnd" timestamp(3),
    "isActualized" boolean,
    "isDiscontinued" boolean,
    "isFundsTransferable" boolean,
    "hasPlan" boolean,
    "hasActuals" boolean,
    "pemsVersion" text,
    "lastSyncedAt" timestamp(3),
    "syncBatchId" text,
    "version" integer not null default 1,
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "pfa_mirror_pkey" primary key ("id"),
    constraint "pfa_mirror_organizationId_fkey" foreign key ("organizationId")
        references "organizations" ("id") on delete cascade on update cascade
);
create unique index "pfa_mirror_organizationId_pfaId_key" on "pfa_mirror" ("organizationId", "pfaId");
create index "pfa_mirror_organizationId_category_source_idx" on "pfa_mirror" ("organizationId", "category", "source");
create index "pfa_mirror_organizationId_forecastStart_forecastEnd_idx"
    on "pfa_mirror" ("organizationId", "forecastStart", "forecastEnd");
create index "pfa_mirror_organizationId_idx" on "pfa_mirror" ("organizationId");
create index "pfa_mirror_syncBatchId_lastSyncedAt_idx" on "pfa_mirror" ("syncBatchId", "lastSyncedAt");

-- A row with version v is the state that was current as v; the current version stands in pfa_mirror alone. There is no
-- "createdAt", "updatedAt" or "lastSyncedAt".
create table "pfa_mirror_history" (
    "id" text not null,
    "mirrorId" text not null,
    "version" integer not null,
    "organizationId" text not null,
    "data" jsonb not null,
    "pfaId" text,
    "category" text,
    "class" text,
    "source" text,
    "dor" text,
    "areaSilo" text,
    "manufacturer" text,
    "model" text,
    "monthlyRate" double precision,
    "purchasePrice" double precision,
    "forecastStart" timestamp(3),
    "forecastEnd" timestamp(3),
    "originalStart" timestamp(3),
    "originalEnd" timestamp(3),
    "actualStart" timestamp(3),
    "actualEnd" timestamp(3),
    "isActualized" boolean,
    "isDiscontinued" boolean,
    "isFundsTransferable" boolean,
    "hasPlan" boolean,
    "hasActuals" boolean,
    "pemsVersion" text,
    "syncBatchId" text,
    "changedBy" text,
    "changeReason" text,
    "archivedAt" timestamp(3) not null default current_timestamp,
    constraint "pfa_mirror_history_pkey" primary key ("id"),
    constraint "pfa_mirror_history_mirrorId_fkey" foreign key ("mirrorId")
        references "pfa_mirror" ("id") on delete cascade on update cascade
);
create index "pfa_mirror_history_mirrorId_version_idx" on "pfa_mirror_history" ("mirrorId", "version" desc);
create index "pfa_mirror_history_organizationId_idx" on "pfa_mirror_history" ("organizationId");
create index "pfa_mirror_history_mirrorId_archivedAt_idx" on "pfa_mirror_history" ("mirrorId", "archivedAt" desc);

create table "pfa_modification" (
    "id" text not null,
    "mirrorId" text not null,
    "organizationId" text not null,
    "userId" text not null,
    "delta" jsonb not null default '{}',
    "sessionId" text,
    "syncState" text not null default 'draft',
    "baseVersion" integer not null default 1,
    "currentVersion" integer not null default 1,
    "modifiedFields" jsonb,
    "changeReason" text,
    "committedAt" timestamp(3),
    "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null,
    constraint "pfa_modification_pkey" primary key ("id"),
    constraint "pfa_modification_mirrorId_fkey" foreign key ("mirrorId")
        references "pfa_mirror" ("id") on delete cascade on update cascade,
    constraint "pfa_modification_organizationId_fkey" foreign key ("organizationId")
        references "organizations" ("id") on delete cascade on update cascade,
    constraint "pfa_modification_userId_fkey" foreign key ("userId")
        references "users" ("id") on delete cascade on update cascade
);
create index "pfa_modification_mirrorId_sessionId_syncState_idx"
    on "pfa_modification" ("mirrorId", "sessionId", "syncState");
create index "pfa_modification_organizationId_sessionId_syncState_idx"
    on "pfa_modification" ("organizationId", "sessionId", "syncState");
create index "pfa_modification_organizationId_syncState_committedAt_idx"
    on "pfa_modification" ("organizationId", "syncState", "committedAt");
create index "pfa_modification_userId_sessionId_syncState_idx"
    on "pfa_modification" ("userId", "sessionId", "syncState");
