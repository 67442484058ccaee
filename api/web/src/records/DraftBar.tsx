import { useState } from "react";
import type { MyOrganization } from "../api/types";
import { useMay } from "../frame/me";
import { amountText, differenceText } from "../plan/amount";
import { Button } from "../widgets/Button";
import { CommitDialog } from "./CommitDialog";
import { costChange, useDrafts } from "./drafts";

/** The user's drafts: how many, what they cost, and their commit. */
export function DraftBar({ organization, onChanged }: { organization: MyOrganization; onChanged: () => void }) {
  const drafts = useDrafts(organization.organizationId);
  const may = useMay();
  const [isOpen, setOpen] = useState(false);
  const rows = drafts.data?.rows ?? [];
  if (rows.length === 0) return null;
  const cost = costChange(rows);
  const [faulty, conflicting] = [
    rows.filter(({ errors }) => errors?.length).length,
    rows.filter(({ conflicts }) => conflicts?.length).length,
  ];
  return (
    <div
      role="toolbar"
      aria-label="Drafts"
      className="flex min-h-10 flex-wrap items-center gap-x-4 gap-y-1 border-t border-line bg-panel px-4 py-1"
    >
      <span className="font-medium">
        {drafts.data?.more ? "More than " : ""}
        {rows.length.toLocaleString()} {rows.length === 1 ? "draft" : "drafts"}
      </span>
      {cost.counted > 0 && (
        <span>
          Cost {amountText(cost.before)} → {amountText(cost.after)}{" "}
          <span className={cost.after > cost.before ? "text-attention" : "text-good"}>
            ({differenceText(cost.after - cost.before)})
          </span>
        </span>
      )}
      {faulty > 0 && <span className="text-failed">{faulty.toLocaleString()} not valid</span>}
      {conflicting > 0 && <span className="text-attention">{conflicting.toLocaleString()} would be conflicts</span>}
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
