import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, useApi } from "../api/context";
import { ApiError } from "../api/problem";
import { JobLink } from "../history/JobLink";
import { counted, countText } from "../plan/count";
import { codeText } from "../plan/status";
import { Answered } from "../widgets/Answered";
import { Choice } from "../widgets/Choice";
import { Confirm } from "../widgets/Confirm";
import { tell, tellError } from "../widgets/toasts";
import { type Filter, useSelectionPreview } from "./selection";

const STAGES: [string, string][] = [
  ["1,10", "1 first, then 10, then the rest"],
  ["1,10,100", "1, then 10, then 100, then the rest"],
  ["", "all at once"],
];

/** Sends failed changes again: one, then some, then the rest, each stage after PEMS has answered to the one before. */
export function ResendDialog({ filter, onClose }: { filter: Filter; onClose: () => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const preview = useSelectionPreview(filter);
  const [stages, setStages] = useState("1,10");
  const [stopAt, setStopAt] = useState("0");
  const [pending, setPending] = useState(false);
  const count = preview.data?.deadLetters ?? 0;
  const perform = async () => {
    setPending(true);
    try {
      const sizes =
        count > 1 && stages
          ? stages
              .split(",")
              .map(Number)
              .filter((size) => size < count)
          : [];
      const body = {
        filter,
        digest: preview.data?.digest,
        ...(sizes.length > 0 && { stages: sizes, stopAt: Number(stopAt) }),
      };
      const result = await api.send("post", "/api/pems/dead-letters/requeue", {
        header: { "Idempotency-Key": idempotencyKey() },
        body,
      });
      tell(counted(result.requeued + result.waiting, "change is sent again", "changes are sent again"), {
        lines: [
          result.waiting
            ? `${counted(result.waiting, "waits for its stage", "wait for their stage")}; you may close this page`
            : "",
          result.conflicts ? counted(result.conflicts, "is a conflict now", "are conflicts now") : "",
          result.refused
            ? counted(result.refused, "could not be sent and stays here", "could not be sent and stay here")
            : "",
        ].filter(Boolean),
        link: (
          <span className="flex gap-2">
            {result.jobIds.map((jobId) => (
              <JobLink key={jobId} jobId={jobId} />
            ))}
          </span>
        ),
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      onClose();
    } catch (error) {
      setPending(false);
      if (error instanceof ApiError && error.code === "moved_on") void preview.refetch();
      tellError("Nothing was sent", error);
    }
  };
  return (
    <Confirm
      title="Resend failed changes"
      action={`Resend ${countText(count)}`}
      pending={pending}
      blocked={!preview.data ? "They are being counted" : count === 0 ? "None is selected" : undefined}
      onConfirm={() => void perform()}
      onClose={onClose}
    >
      <Answered query={preview} rows={2}>
        {(data) => (
          <>
            <p>
              <strong className="font-medium">{counted(data.deadLetters, "change", "changes")}</strong> of{" "}
              {counted(data.records, "record", "records")}{" "}
              {data.deadLetters === 1 ? "is sent as it is" : "are sent as they are"}:{" "}
              {Object.entries(data.byCode)
                .map(([code, number]) => `${countText(Number(number))} ${codeText(code).toLowerCase()}`)
                .join(", ")}
              .
            </p>
            {data.overtaken > 0 && (
              <p className="text-attention">
                {counted(data.overtaken, "record has later changes", "records have later changes")}: where those wrote
                the same field, it becomes a conflict.
              </p>
            )}
          </>
        )}
      </Answered>
      {count > 1 && (
        <>
          <Choice label="Send" value={stages} options={STAGES} onChange={setStages} />
          {stages && (
            <Choice
              label="Stop"
              value={stopAt}
              options={[
                ["0", "at the first failure"],
                ["10", "when 10 % have failed"],
                ["50", "when half have failed"],
              ]}
              onChange={setStopAt}
            />
          )}
          <p className="text-secondary">
            Each stage waits for PEMS' answers to the one before. Other failures are not touched.
          </p>
        </>
      )}
    </Confirm>
  );
}
