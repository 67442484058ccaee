import { useState } from "react";
import type { MyOrganization } from "../api/types";
import { useMay } from "../frame/me";
import { CostChange } from "../plan/CostChange";
import { counted, countText } from "../plan/count";
import { Button } from "../widgets/Button";
import { CommitDialog } from "./CommitDialog";
import { useDraftSummary } from "./drafts";

/** The user's drafts: how many, what they cost, and their commit. */
export function DraftBar({ organization, onChanged }: { organization: MyOrganization; onChanged: () => void }) {
  const { data, error, refetch } = useDraftSummary(organization.organizationId);
  const may = useMay();
  const [isOpen, setOpen] = useState(false);
  const className = "flex min-h-10 flex-wrap items-center gap-x-4 gap-y-1 border-t border-line bg-panel px-4 py-1";
  if (!data) {
    return error ? (
      <div role="alert" className={className}>
        <span className="text-failed">Your drafts could not be counted: {error.message}</span>
        <Button onClick={() => void refetch()}>Try again</Button>
      </div>
    ) : null;
  }
  const { drafts, invalid, conflicting, costBefore, costAfter } = data;
  if (drafts === 0 && !isOpen) return null;
  return (
    <div role="toolbar" aria-label="Drafts" className={className}>
      <span className="font-medium">{counted(drafts, "draft", "drafts")}</span>
      {costBefore != null && costAfter != null && (
        <span>
          Cost <CostChange before={costBefore} after={costAfter} />
        </span>
      )}
      {invalid > 0 && <span className="text-failed">{countText(invalid)} not valid</span>}
      {conflicting > 0 && (
        <span className="text-attention">{counted(conflicting, "would be a conflict", "would be conflicts")}</span>
      )}
      <span className="grow" />
      <Button kind="primary" reason={may("perm_Sync", organization.organizationId)} onClick={() => setOpen(true)}>
        Review and commit…
      </Button>
      {isOpen && (
        <CommitDialog
          organization={organization}
          onClose={(changed) => {
            setOpen(false);
            if (changed) onChanged();
          }}
        />
      )}
    </div>
  );
}
