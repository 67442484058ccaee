import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { DeadLetter, Values } from "../api/types";
import { useCodeOf, useMay, useMe } from "../frame/me";
import { useView } from "../frame/view";
import { Data } from "../history/Data";
import { Attempts } from "../history/JobChanges";
import { FilterBar } from "../lists/FilterBar";
import { More } from "../lists/More";
import { SelectRow, SelectTable } from "../lists/SelectTable";
import { usePages } from "../lists/usePages";
import { useSelection } from "../lists/useSelection";
import { countText } from "../plan/count";
import { fieldOf } from "../plan/fields";
import { codeText } from "../plan/status";
import { valueText } from "../plan/value";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Time } from "../widgets/Time";
import { DiscardDialog } from "./DiscardDialog";
import { FixDialog } from "./FixDialog";
import { ResendDialog } from "./ResendDialog";
import type { Filter } from "./selection";

/** The changes that failed for good: fixed and resent, resent in stages, or discarded. */
export function DeadLetters({ organizationId, code }: { organizationId?: string; code?: string }) {
  const [view, change] = useView();
  const me = useMe();
  const may = useMay();
  const { selected, toggle, set, clear } = useSelection();
  const [dialog, setDialog] = useState<
    { kind: "resend" | "discard"; filter: Filter } | { kind: "fix"; letter: DeadLetter } | null
  >(null);
  const list = usePages("/api/pems/dead-letters", {
    query: {
      organizationId,
      code,
      pfaId: view.pfaId,
      author: view.by,
      startDate: view.since && `${view.since}T00:00:00Z`,
      limit: 100,
    },
  });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const letters = list.data.pages.flatMap(({ deadLetters }) => deadLetters);
  const total = list.data.pages[0]?.total ?? 0;
  const keys = letters.map(({ queueId }) => queueId);
  const chosen = keys.filter((key) => selected.has(key));
  const all: Filter = { organizationId, code, pfaId: view.pfaId, author: view.by };
  const target = chosen.length > 0 ? { queueIds: chosen } : all;
  const count = chosen.length || total;
  const locked = may("perm_Sync", organizationId);
  const everyReason =
    locked ??
    (chosen.length === 0 && view.since
      ? "Select the changes instead: the date is no filter of these actions"
      : undefined);
  return (
    <section aria-label="Changes that failed for good" className="flex flex-col">
      <FilterBar
        view={view}
        onChange={change}
        entries={[
          { name: "pfaId", label: "PFA", kind: "text" },
          { name: "by", label: "Author", kind: "choice", options: [[me.userId, "me"]] },
          { name: "since", label: "Since", kind: "date" },
        ]}
      />
      <div
        role="toolbar"
        aria-label="Failed changes"
        className="flex min-h-10 flex-wrap items-center gap-2 border-y border-line bg-panel px-4 py-1"
      >
        <span>{total >= 10_000 ? `At least ${countText(10_000)}` : countText(total)} failed for good</span>
        {chosen.length > 0 && <span className="font-medium">{countText(chosen.length)} selected</span>}
        {count > 0 && (
          <>
            <Button reason={everyReason} onClick={() => setDialog({ kind: "resend", filter: target })}>
              Resend {countText(count)}…
            </Button>
            <Button kind="danger" reason={everyReason} onClick={() => setDialog({ kind: "discard", filter: target })}>
              Discard {countText(count)}…
            </Button>
          </>
        )}
        {chosen.length > 0 && (
          <Button kind="quiet" onClick={clear}>
            Select none
          </Button>
        )}
      </div>
      {letters.length === 0 ? (
        <Empty title="No change waits for a decision" />
      ) : (
        <SelectTable
          label="Changes"
          columns={[
            "Record",
            "Cause",
            "Change",
            "What PEMS said",
            "Author",
            "Failed",
            { label: "Actions", kind: "unseen" },
          ]}
          keys={keys}
          selected={selected}
          onSelect={set}
        >
          {letters.map((letter) => (
            <Letter
              key={letter.queueId}
              letter={letter}
              isSelected={selected.has(letter.queueId)}
              isOpen={view.open === letter.queueId}
              locked={may(letter.author === me.userId ? "perm_Sync" : "perm_ManageSettings", letter.organizationId)}
              onToggle={(range) => toggle(letter.queueId, range ? { keys } : undefined)}
              onOpen={() => change({ open: view.open === letter.queueId ? undefined : letter.queueId })}
              onFix={() => setDialog({ kind: "fix", letter })}
            />
          ))}
        </SelectTable>
      )}
      <More query={list} />
      {dialog?.kind === "fix" && <FixDialog letter={dialog.letter} onClose={() => setDialog(null)} />}
      {dialog?.kind === "resend" && <ResendDialog filter={dialog.filter} onClose={() => setDialog(null)} />}
      {dialog?.kind === "discard" && <DiscardDialog filter={dialog.filter} onClose={() => setDialog(null)} />}
    </section>
  );
}

type LetterProps = {
  letter: DeadLetter;
  isSelected: boolean;
  isOpen: boolean;
  locked?: string;
  onToggle: (range: boolean) => void;
  onOpen: () => void;
  onFix: () => void;
};

function Letter({ letter, isSelected, isOpen, locked, onToggle, onOpen, onFix }: LetterProps) {
  const codeOf = useCodeOf();
  return (
    <>
      <SelectRow label={`Select the change of record ${letter.pfaId}`} isSelected={isSelected} onToggle={onToggle}>
        <td>
          <Link
            to="/records/$pfaId"
            params={{ pfaId: letter.pfaId }}
            search={{ org: codeOf(letter.organizationId) } as never}
            className="link font-medium"
          >
            {letter.pfaId}
          </Link>{" "}
          <span className="text-secondary">{codeOf(letter.organizationId)}</span>
        </td>
        <td className="text-failed" title={letter.meaning ?? undefined}>
          {codeText(letter.code)}
          {letter.httpStatus ? ` (${letter.httpStatus})` : ""}
        </td>
        <td className="max-w-72">
          {Object.entries((letter.changes ?? {}) as Values)
            .map(([name, value]) => `${fieldOf(name).label} ${valueText(fieldOf(name), value)}`)
            .join(", ")}
          {letter.laterQueued + letter.laterWritten > 0 && (
            <span className="block text-xs text-attention">
              The record has {letter.laterQueued + letter.laterWritten} later changes
            </span>
          )}
        </td>
        <td className="max-w-80 break-words">{letter.error}</td>
        <td>{letter.authorName}</td>
        <td>
          <Time at={letter.failedAt} />
        </td>
        <td className="text-right whitespace-nowrap">
          <Button kind="text" aria-expanded={isOpen} onClick={onOpen}>
            Details
          </Button>
          <Button reason={locked} onClick={onFix}>
            Fix and resend…
          </Button>
        </td>
      </SelectRow>
      {isOpen && (
        <tr>
          <td colSpan={8} className="bg-panel py-2!">
            <p className="pb-1">
              {letter.meaning}. What to do: {letter.action}.
            </p>
            <Attempts queueId={letter.queueId} />
            <Data label="PEMS' last answer" value={letter.pemsResponse} />
          </td>
        </tr>
      )}
    </>
  );
}
