/** Components that PFA Vanguard, or any React application, mounts. Import their style, too: `@pfa-sync/react/styles.css`. */
import "../styles.css";

export { ConflictResolutionModal } from "./ConflictResolutionModal";
export { type Intent, PfaSyncProvider } from "./Provider";
export { RollbackModal } from "./RollbackModal";
export type { SyncStatus } from "./StatusStore";
export { SyncHistoryDashboard } from "./SyncHistoryDashboard";
export { SyncNotifications } from "./SyncNotifications";
export { SyncStatusIndicator } from "./SyncStatusIndicator";
export { useSyncStatus } from "./useSyncStatus";
