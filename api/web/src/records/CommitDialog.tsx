import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { errorLines } from "../api/problem";
import type { MyOrganization, RecordRow } from "../api/types";
import { useMe } from "../frame/me";
import { amountText, differenceText } from "../plan/amount";
import { fieldOf } from "../plan/fields";
import { difference, valueText } from "../plan/value";
import { Button } from "../widgets/Button";
import { Dialog } from "../widgets/Dialog";
import { tell, tellError } from "../widgets/toasts";
import { costChange, useDraftActions, type Verdict } from "./drafts";

/** As many drafts as are listed one by one; all are committed. */
const LISTED = 200;

const OUTCOMES: Record<string, string> = {
  queued: "queued for PEMS",
  synced: "already as in PEMS",
  conflict: "in conflict: a person decides",
  invalid: "not valid: stay drafts",
  forbidden: "not permitted: stay drafts",
};

/** What the drafts change and cost, what stands against them, and their commit. */
export function CommitDialog({
  organization,
  rows,
  onClose,
}: {
  organization: MyOrganization;
  rows: RecordRow[];
  onClose: (changed?: string[]) => void;
}) {
  const { instance, userId } = useMe();
  const drafts = useDraftActions(organization.organizationId);
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<string[]>();
  const chosen = rows.filter(({ pfaId }) => !left.has(pfaId));
  const ids = chosen.map(({ pfaId }) => pfaId);
  const cost = costChange(chosen);
  const faulty = chosen.filter(({ errors }) => errors?.length).length;
  const committing = chosen.length - faulty;
  const perform = async () => {
    setPending(true);
    setFailure(undefined);
    try {
      report(await drafts.commit(ids, true));
      onClose(ids);
    } catch (error) {
      setPending(false);
      setFailure(errorLines(error));
    }
  };
  const discard = async () => {
    setPending(true);
    const saved = chosen.map(({ pfaId, data, base, reason }) => ({
      pfaId,
      reason: reason ?? undefined,
      delta: Object.fromEntries(Object.keys(base ?? {}).map((name) => [name, data[name] ?? null])),
    }));
    try {
      const count = await drafts.discard(ids);
      tell(`${count.toLocaleString()} drafts are discarded`, {
        action: {
          label: "Undo",
          run: () => void drafts.saveAll(saved).catch((error) => tellError("The drafts were not restored", error)),
        },
      });
      onClose(ids);
    } catch (error) {
      setPending(false);
      tellError("The drafts were not discarded", error);
    }
  };
  const busy = pending ? "It is being done" : chosen.length === 0 ? "No draft is chosen" : undefined;
  return (
    <Dialog
      wide
      title={`Commit ${chosen.length === 1 ? "a draft" : `${chosen.length.toLocaleString()} drafts`}${instance.production ? " in production" : ""}`}
      onClose={() => onClose()}
      actions={
        <>
          <Button kind="danger" reason={busy} onClick={() => void discard()}>
            Discard {chosen.length.toLocaleString()}
          </Button>
          <span className="grow" />
          <Button onClick={() => onClose()}>Cancel</Button>
          <Button
            kind="primary"
            reason={busy ?? (committing === 0 ? "No valid draft is chosen" : undefined)}
            onClick={() => void perform()}
          >
            Commit {committing.toLocaleString()}
          </Button>
        </>
      }
    >
      <p>
        {cost.counted > 0 && (
          <>
            Forecast cost {amountText(cost.before)} → <strong className="font-medium">{amountText(cost.after)}</strong>{" "}
            ({differenceText(cost.after - cost.before)}).{" "}
          </>
        )}
        {faulty > 0 && <span className="text-failed">{faulty.toLocaleString()} are not valid and stay drafts. </span>}
        Drafts of other users are not touched.
      </p>
      {failure && (
        <div role="alert" className="rounded border border-failed bg-failed-back p-2">
          {failure.map((line) => (
            <p key={line}>{line}</p>
          ))}
        </div>
      )}
      <div
        className="max-h-[55vh] overflow-auto rounded border border-line"
        role="region"
        aria-label="Drafts"
        tabIndex={0}
      >
        <table className="data-table">
          <thead>
            <tr>
              <th scope="col" className="w-8">
                <span className="sr-only">Commit</span>
              </th>
              <th scope="col">PFA</th>
              <th scope="col">Change</th>
              <th scope="col" className="number">
                Cost
              </th>
              <th scope="col">Before a commit</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, LISTED).map((row) => (
              <DraftLine
                key={row.pfaId}
                row={row}
                userId={userId}
                isChosen={!left.has(row.pfaId)}
                onChoose={(isChosen) => {
                  const next = new Set(left);
                  if (isChosen) next.delete(row.pfaId);
                  else next.add(row.pfaId);
                  setLeft(next);
                }}
              />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > LISTED && (
        <p className="text-secondary">
          The first {LISTED} of {rows.length.toLocaleString()} are listed.
        </p>
      )}
    </Dialog>
  );
}

function DraftLine({
  row,
  userId,
  isChosen,
  onChoose,
}: {
  row: RecordRow;
  userId: string;
  isChosen: boolean;
  onChoose: (isChosen: boolean) => void;
}) {
  const cost = costChange([row]);
  const others = row.authors.filter((author) => author.userId !== userId);
  return (
    <tr>
      <td>
        <input
          type="checkbox"
          aria-label={`Commit the draft of record ${row.pfaId}`}
          checked={isChosen}
          onChange={(event) => onChoose(event.target.checked)}
        />
      </td>
      <td>{row.pfaId}</td>
      <td className="py-1">
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
      <td className="number">{cost.counted ? differenceText(cost.after - cost.before) : "—"}</td>
      <td className="py-1">
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
          <span className="text-secondary">nothing stands against it</span>
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
  tell(`${verdicts.length.toLocaleString()} ${verdicts.length === 1 ? "draft" : "drafts"} committed`, {
    tone: isWorse ? "info" : "done",
    lines: [...counts].map(([verdict, count]) => `${count.toLocaleString()} ${OUTCOMES[verdict] ?? verdict}`),
    link: jobId ? (
      <Link to="/history/$jobId" params={{ jobId }} className="link">
        Follow job {jobId}
      </Link>
    ) : undefined,
  });
}
