import { useRef, useState } from "react";
import type { MyOrganization } from "../api/types";
import { useMay } from "../frame/me";
import { JobLink } from "../history/JobLink";
import { counted, countText } from "../plan/count";
import { Button } from "../widgets/Button";
import { Confirm } from "../widgets/Confirm";
import { Icon } from "../widgets/icons";
import { tell, tellError } from "../widgets/toasts";
import { BulkEditDialog } from "./BulkEditDialog";
import { CommitDialog } from "./CommitDialog";
import { useDraftActions } from "./drafts";
import { MAX_IDS, type Selection, useStateCounts } from "./selection";

type Props = {
  organization: MyOrganization;
  selection: Selection;
  /** All that the search finds is selected. */
  isSearch: boolean;
  count: number;
  /** How many records the search finds. */
  total: number;
  onSelectSearch: () => void;
  onClear: () => void;
  onChanged: () => void;
};

/** What can be done with the selected records. Only what applies is offered. */
export function SelectionBar({
  organization,
  selection,
  isSearch,
  count,
  total,
  onSelectSearch,
  onClear,
  onChanged,
}: Props) {
  const { organizationId } = organization;
  const may = useMay();
  const drafts = useDraftActions(organizationId);
  const [dialog, setDialog] = useState<"shift" | "rate" | "set" | "commit" | "withdraw" | null>(null);
  const what = useRef<HTMLSpanElement>(null);
  const isTooMany = !isSearch && count > MAX_IDS;
  const counts = useStateCounts(organizationId, selection, !isTooMany);
  const [withDraft = 0, queued = 0] = isTooMany ? [] : [counts.data?.get("draft"), counts.data?.get("queued")];
  const withdraw = async () => {
    setDialog(null);
    try {
      const verdicts = await drafts.withdraw(selection);
      const number = (word: string) => verdicts.filter(({ verdict }) => verdict === word).length;
      const [back, waiting] = [number("withdrawn"), number("waiting")];
      const left = verdicts.length - back - waiting;
      const jobId = verdicts.find(({ verdict }) => verdict === "waiting")?.jobId;
      tell(`${counted(back, "change is a draft", "changes are drafts")} again`, {
        lines: [
          waiting ? `${counted(waiting, "follows", "follow")} in the background; you may close this page` : "",
          left ? `${counted(left, "was sent already, or is not yours", "were sent already, or are not yours")}` : "",
        ].filter(Boolean),
        link: jobId && <JobLink jobId={jobId} />,
      });
      onChanged();
    } catch (error) {
      tellError("Nothing was withdrawn", error);
    }
  };
  const locked =
    may("perm_SaveDraft", organizationId) ??
    (isTooMany
      ? `Only ${countText(MAX_IDS)} records are changed when they are selected one by one: select all that match, or fewer`
      : undefined);
  const financial = organization.permissions.includes("perm_ViewFinancials") ? undefined : "You may not see prices";
  const close = (changed: boolean) => {
    setDialog(null);
    if (changed) onChanged();
  };
  return (
    <div
      role="toolbar"
      aria-label="Selected records"
      className="flex min-h-10 flex-wrap items-center gap-2 border-t border-line bg-chosen px-4 py-1"
    >
      <span ref={what} tabIndex={-1} className="font-medium outline-none">
        {isSearch ? `All ${countText(count)} that match` : `${countText(count)} selected`}
      </span>
      {!isSearch && total > count && (
        <Button
          kind="text"
          onClick={() => {
            // The button goes; what is selected now is read out, and the next Tab reaches what can be done with it.
            what.current?.focus();
            onSelectSearch();
          }}
        >
          Select all {countText(total)} that match
        </Button>
      )}
      <Button reason={locked} onClick={() => setDialog("shift")}>
        Shift dates…
      </Button>
      <Button reason={locked ?? financial} onClick={() => setDialog("rate")}>
        Change rates…
      </Button>
      <Button reason={locked} onClick={() => setDialog("set")}>
        Set a field…
      </Button>
      {withDraft > 0 && (
        <Button kind="primary" reason={may("perm_Sync", organizationId)} onClick={() => setDialog("commit")}>
          Commit {countText(withDraft)}…
        </Button>
      )}
      {queued > 0 && (
        <Button onClick={() => (isSearch ? setDialog("withdraw") : void withdraw())}>
          Withdraw {countText(queued)}
          {isSearch && "…"}
        </Button>
      )}
      {counts.error && !counts.data && (
        <Button onClick={() => void counts.refetch()} tip={counts.error.message}>
          <Icon name="warning" size={14} className="text-failed" /> Drafts and queued changes could not be counted: try
          again
        </Button>
      )}
      <span className="grow" />
      <Button kind="text" onClick={onClear}>
        Select none
      </Button>
      {dialog === "withdraw" && (
        <Confirm
          title="Withdraw queued changes"
          action={`Withdraw ${countText(queued)}`}
          onConfirm={() => void withdraw()}
          onClose={() => setDialog(null)}
        >
          <p>
            The queued changes of {counted(queued, "record", "records")} become drafts of their authors again. Changes
            that are being sent are not stopped, and other records are not touched.
          </p>
        </Confirm>
      )}
      {dialog === "commit" && <CommitDialog organization={organization} selection={selection} onClose={close} />}
      {(dialog === "shift" || dialog === "rate" || dialog === "set") && (
        <BulkEditDialog kind={dialog} organization={organization} selection={selection} count={count} onClose={close} />
      )}
    </div>
  );
}
