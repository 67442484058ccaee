import { type ReactNode, useState } from "react";
import { errorLines } from "../api/problem";
import type { MyOrganization, RecordRow } from "../api/types";
import { useMe } from "../frame/me";
import { JobLink } from "../history/JobLink";
import { differenceText } from "../plan/amount";
import { CostChange } from "../plan/CostChange";
import { counted, countText } from "../plan/count";
import { fieldOf } from "../plan/fields";
import { difference, valueText } from "../plan/value";
import { Answered, Failed } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Confirm } from "../widgets/Confirm";
import { Dialog } from "../widgets/Dialog";
import { tell, tellError } from "../widgets/toasts";
import { ALL, costChange, type Target, useDraftActions, useDraftSummary, useDrafts, type Verdict } from "./drafts";
import type { Selection } from "./selection";

const OUTCOMES: Record<string, [one: string, many: string]> = {
  queued: ["queued for PEMS", "queued for PEMS"],
  synced: ["already as in PEMS", "already as in PEMS"],
  conflict: ["in conflict: a person decides", "in conflict: a person decides"],
  invalid: ["not valid: still a draft", "not valid: still drafts"],
  forbidden: ["not permitted: still a draft", "not permitted: still drafts"],
};

type Props = { organization: MyOrganization; selection?: Selection; onClose: (changed: boolean) => void };

/** What the drafts of a selection (of all records, without one) change and cost, their faults and conflicts; their commit. */
export function CommitDialog({ organization, selection = ALL, onClose }: Props) {
  const { organizationId } = organization;
  const { instance } = useMe();
  const drafts = useDrafts(organizationId, selection);
  // Of more drafts than are listed, all are committed or discarded, and none is left out.
  const isPart = drafts.data?.more ?? false;
  const summary = useDraftSummary(organizationId, selection, isPart);
  const actions = useDraftActions(organizationId);
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [pending, setPending] = useState(false);
  const [isDiscarding, setDiscarding] = useState(false);
  const [failure, setFailure] = useState<string[]>();
  const rows = drafts.data?.rows ?? [];
  const chosen = isPart ? rows : rows.filter(({ pfaId }) => !left.has(pfaId));
  const target: Target = isPart ? selection : { pfaIds: chosen.map(({ pfaId }) => pfaId) };
  const numbers = !drafts.data ? undefined : isPart ? summary.data : summaryOf(chosen);
  const { drafts: count = 0, invalid = 0, conflicting = 0, costBefore, costAfter } = numbers ?? {};
  const committing = count - invalid;
  const perform = async () => {
    setPending(true);
    setFailure(undefined);
    try {
      report(await actions.commit(target, true));
      onClose(true);
    } catch (error) {
      setPending(false);
      setFailure(errorLines(error));
    }
  };
  const discard = async () => {
    setDiscarding(false);
    setPending(true);
    const saved = chosen.map(({ pfaId, data, base, reason }) => ({
      pfaId,
      reason: reason ?? undefined,
      delta: Object.fromEntries(Object.keys(base ?? {}).map((name) => [name, data[name] ?? null])),
    }));
    try {
      const discarded = await actions.discard(target);
      tell(counted(discarded, "draft is discarded", "drafts are discarded"), {
        action: isPart
          ? undefined
          : {
              label: "Undo",
              run: () => void actions.saveAll(saved).catch((error) => tellError("The drafts were not restored", error)),
            },
      });
      onClose(true);
    } catch (error) {
      setPending(false);
      tellError("The drafts were not discarded", error);
    }
  };
  const busy = pending
    ? "It is being done"
    : !numbers
      ? (drafts.error ?? summary.error)
        ? "What would be committed is not known"
        : "They are being read"
      : count === 0
        ? "No draft is chosen"
        : undefined;
  return (
    <Dialog
      wide
      title={`Commit ${!numbers ? "drafts" : count === 1 ? "a draft" : `${countText(count)} drafts`}${instance.production ? " in production" : ""}`}
      onClose={() => onClose(false)}
      actions={
        <>
          <Button kind="danger" reason={busy} onClick={() => (isPart ? setDiscarding(true) : void discard())}>
            Discard {numbers && countText(count)}
            {isPart && "…"}
          </Button>
          <span className="grow" />
          <Button onClick={() => onClose(false)}>Cancel</Button>
          <Button
            kind="primary"
            reason={busy ?? (committing === 0 ? "No valid draft is chosen" : undefined)}
            onClick={() => void perform()}
          >
            Commit {numbers && countText(committing)}
          </Button>
        </>
      }
    >
      {failure && (
        <div role="alert" className="rounded border border-failed bg-failed-back p-2">
          {failure.map((line) => (
            <p key={line}>{line}</p>
          ))}
        </div>
      )}
      <Answered query={drafts} rows={6}>
        {() => (
          <>
            <p role="status">
              {costBefore != null && costAfter != null && (
                <>
                  Forecast cost <CostChange before={costBefore} after={costAfter} />.{" "}
                </>
              )}
              {invalid > 0 && (
                <span className="text-failed">
                  {counted(invalid, "is not valid and stays a draft", "are not valid and stay drafts")}.{" "}
                </span>
              )}
              {conflicting > 0 && (
                <span className="text-attention">
                  {counted(conflicting, "would be a conflict", "would be conflicts")}.{" "}
                </span>
              )}
              Drafts of other users are not touched.
            </p>
            {isPart && summary.error && !summary.data && (
              <Failed
                title="The drafts could not be counted"
                error={summary.error}
                onRetry={() => void summary.refetch()}
              />
            )}
            <DraftTable rows={rows} left={isPart ? null : left} onLeave={setLeft} />
            {isPart && numbers && (
              <p className="text-secondary">
                The first {countText(rows.length)} of {countText(count)} are listed.
              </p>
            )}
          </>
        )}
      </Answered>
      {isDiscarding && (
        <Confirm
          danger
          title="Discard drafts"
          action={`Discard ${countText(count)}`}
          typed={instance.production ? instance.name || "production" : undefined}
          onConfirm={() => void discard()}
          onClose={() => setDiscarding(false)}
        >
          <p>An undo can't restore this many drafts. Committed changes and drafts of other users are not touched.</p>
        </Confirm>
      )}
    </Dialog>
  );
}

/** What the service says about all drafts of a selection, of those that are listed. */
function summaryOf(rows: RecordRow[]) {
  const { before, after, counted } = costChange(rows);
  return {
    drafts: rows.length,
    invalid: rows.filter(({ errors }) => errors?.length).length,
    conflicting: rows.filter(({ conflicts }) => conflicts?.length).length,
    ...(counted > 0 && { costBefore: before, costAfter: after }),
  };
}

/** The drafts one by one; with boxes unless all are taken anyway. */
function DraftTable({
  rows,
  left,
  onLeave,
}: {
  rows: RecordRow[];
  left: ReadonlySet<string> | null;
  onLeave: (left: ReadonlySet<string>) => void;
}) {
  const { userId } = useMe();
  return (
    <div
      className="max-h-[55vh] overflow-auto rounded border border-line"
      role="region"
      aria-label="Drafts"
      tabIndex={0}
    >
      <table className="data-table">
        <thead>
          <tr>
            {left && (
              <th scope="col" className="w-8">
                <span className="sr-only">Commit</span>
              </th>
            )}
            <th scope="col">PFA</th>
            <th scope="col">Change</th>
            <th scope="col" className="number">
              Cost
            </th>
            <th scope="col">Faults and conflicts</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <DraftLine
              key={row.pfaId}
              row={row}
              userId={userId}
              box={
                left && (
                  <input
                    type="checkbox"
                    aria-label={`Commit the draft of record ${row.pfaId}`}
                    checked={!left.has(row.pfaId)}
                    onChange={(event) => {
                      const next = new Set(left);
                      if (event.target.checked) next.delete(row.pfaId);
                      else next.add(row.pfaId);
                      onLeave(next);
                    }}
                  />
                )
              }
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function DraftLine({ row, userId, box }: { row: RecordRow; userId: string; box: ReactNode }) {
  const cost = costChange([row]);
  const others = row.authors.filter((author) => author.userId !== userId);
  return (
    <tr>
      {box && <td>{box}</td>}
      <td>{row.pfaId}</td>
      <td className="min-w-48 py-1">
        {Object.entries(row.base ?? {}).map(([name, before]) => {
          const field = fieldOf(name);
          const by = difference(field, before, row.data[name]);
          return (
            <span key={name} className="block">
              {field.label}: {valueText(field, before)} →{" "}
              <span className="font-medium">{valueText(field, row.data[name])}</span>
              {by && <span className="text-secondary"> ({by})</span>}
            </span>
          );
        })}
      </td>
      <td className="number">{cost.after === cost.before ? "—" : differenceText(cost.after - cost.before)}</td>
      <td className="min-w-48 py-1">
        {row.errors?.map((fault) => (
          <span key={`${fault.field}${fault.code}`} className="block text-failed">
            {fault.field ? `${fieldOf(fault.field).label}: ` : ""}
            {fault.message}
          </span>
        ))}
        {row.conflicts?.map((conflict) => (
          <span key={conflict.field} className="block text-attention">
            Would be a conflict: PEMS has {fieldOf(conflict.field).label}{" "}
            {valueText(fieldOf(conflict.field), conflict.theirs)}
          </span>
        ))}
        {others.length > 0 && (
          <span className="block text-secondary">
            Also edited by {others.map(({ userName }) => userName).join(", ")}
          </span>
        )}
        {!row.errors?.length && !row.conflicts?.length && others.length === 0 && (
          <span className="text-secondary">none</span>
        )}
      </td>
    </tr>
  );
}

/** Says what became of a commit, with a link to its job. */
function report(verdicts: Verdict[]): void {
  const counts = new Map<string, number>();
  for (const { verdict } of verdicts) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const jobId = verdicts.find((verdict) => verdict.jobId)?.jobId;
  const isWorse = ["conflict", "invalid", "forbidden"].some((word) => counts.has(word));
  const committed = verdicts.length - (counts.get("invalid") ?? 0) - (counts.get("forbidden") ?? 0);
  tell(committed === 0 ? "No draft was committed" : `${counted(committed, "draft", "drafts")} committed`, {
    tone: isWorse ? "info" : "done",
    lines: [...counts].map(([verdict, count]) => counted(count, ...(OUTCOMES[verdict] ?? [verdict, verdict]))),
    link: jobId && <JobLink jobId={jobId} />,
  });
}
