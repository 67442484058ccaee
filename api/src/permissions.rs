//! What each route needs, as the description of the service says it (`x-permission`). The database checks it.

/// Operation, and the permission that its user needs in the organization; `perm_Read` shows what belongs to it.
const PERMISSIONS: [(&str, &str); 57] = [
    ("changeSetting", "perm_ManageSettings"),
    ("commitDrafts", "perm_Sync, and the permission of each changed field"),
    ("continueJob", "perm_Sync for one's own job, else perm_ManageSettings"),
    ("countRecords", "perm_Read; by a price, perm_ViewFinancials"),
    ("deleteView", "none: one's own"),
    ("discardDeadLetters", "perm_Sync for one's own, else perm_ManageSettings"),
    ("discardDrafts", "none: one's own"),
    ("explain", "perm_Read"),
    ("exportAudit", "perm_Export; without an organization, that of an administrator"),
    ("getConflict", "perm_Read"),
    ("getDrainForecast", "perm_Read"),
    ("getJob", "perm_Read"),
    ("getMe", "none"),
    ("getModification", "perm_Read"),
    ("getRecord", "perm_Read"),
    ("getStates", "perm_Read"),
    ("getSyncStatus", "perm_Read"),
    ("getTimeline", "perm_Read"),
    ("listAttempts", "perm_Read"),
    ("listAudit", "perm_Read; without an organization, that of an administrator"),
    ("listBatches", "perm_Read"),
    ("listCauses", "none"),
    ("listConflicts", "perm_Read"),
    ("listDeadLetters", "perm_Read"),
    ("listFailures", "perm_Read"),
    ("listJobChanges", "perm_Read"),
    ("listJobItems", "perm_Read"),
    ("listJobs", "perm_Read"),
    ("listKpis", "perm_Read"),
    ("listRecords", "perm_Read; sorted by a price, perm_ViewFinancials"),
    ("listResolvedConflicts", "perm_Read"),
    ("listRollbackRecords", "perm_ManageSettings"),
    ("listSettings", "none"),
    ("listViews", "none: one's own, and those that are shared"),
    ("listenToEvents", "perm_Read"),
    ("livez", "none, and no token"),
    ("noteFailure", "perm_ManageSettings"),
    ("pause", "perm_ManageSettings"),
    ("previewDeadLetters", "perm_Sync for one's own, else perm_ManageSettings"),
    ("previewResolution", "perm_Read"),
    ("previewRestore", "perm_ManageSettings"),
    ("previewRollback", "perm_ManageSettings"),
    ("readyz", "none, and no token"),
    ("requeueDeadLetters", "perm_Sync for one's own, else perm_ManageSettings"),
    ("resolveConflict", "perm_Sync, and the permission of each field that is sent"),
    ("resolveConflicts", "perm_Sync, and the permission of each field that is sent"),
    ("restoreVersion", "perm_ManageSettings, and the permission of each field; perm_Delete to revive"),
    ("resume", "perm_ManageSettings"),
    ("rollBack", "perm_ManageSettings, and the permission of each field; perm_Delete to revive"),
    ("saveDraft", "perm_SaveDraft"),
    ("saveDrafts", "perm_SaveDraft"),
    ("saveView", "none: one's own"),
    ("searchRecords", "perm_Read; by a price, perm_ViewFinancials"),
    ("stopJob", "perm_Sync for one's own job, else perm_ManageSettings"),
    ("undoJob", "perm_Sync for one's own job, else perm_ManageSettings"),
    ("withdraw", "none for one's own changes, else perm_ManageSettings"),
    ("writeSync", "perm_Sync"),
];

/// What an operation needs; `None` = it is not in the list.
pub(crate) fn of(operation: &str) -> Option<&'static str> {
    PERMISSIONS.iter().find(|(known, _)| *known == operation).map(|(_, permission)| *permission)
}

/// The operations of the list.
#[cfg(test)]
pub(crate) fn operations() -> impl Iterator<Item = &'static str> {
    PERMISSIONS.iter().map(|(operation, _)| *operation)
}
