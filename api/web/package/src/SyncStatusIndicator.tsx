import { STATUSES, type Status } from "../../src/plan/status";
import { StatusMark } from "../../src/widgets/StatusMark";
import { Scope, useHost } from "./Provider";
import type { SyncStatus } from "./StatusStore";
import { useSyncStatus } from "./useSyncStatus";

type Props = {
  pfaId: string;
  /** Its status, if the host has it already from useSyncStatus; otherwise the indicator asks by itself. */
  status?: SyncStatus;
};

/** Where a record stands, as icon, word and colour. Pressed, it leads to the conflict or the failure of the record. */
export function SyncStatusIndicator({ pfaId, status: given }: Props) {
  const { onIntent } = useHost();
  const own = useSyncStatus(given ? [] : [pfaId]);
  const found = given ?? own.get(pfaId);
  if (!found) {
    return (
      <Scope inline>
        <span className="text-secondary" aria-busy="true">
          …
        </span>
      </Scope>
    );
  }
  const lead = () => {
    if (found.conflictId) onIntent?.({ kind: "conflict", conflictId: found.conflictId });
    else if (found.deadLetterId) onIntent?.({ kind: "failures" });
    else onIntent?.({ kind: "record", organizationId: null, pfaId });
  };
  return (
    <Scope inline>
      <button type="button" className="cursor-pointer rounded" title={STATUSES[found.status].meaning} onClick={lead}>
        <StatusMark status={found.status} also={found.states as Status[]} />
      </button>
    </Scope>
  );
}
