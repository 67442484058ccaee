import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, useApi } from "../api/context";
import { ApiError } from "../api/problem";
import type { components } from "../api/schema";
import { useMe } from "../frame/me";
import { JobLink } from "../history/JobLink";
import { counted, countText } from "../plan/count";
import { fieldOf } from "../plan/fields";
import { Answered } from "../widgets/Answered";
import { Confirm } from "../widgets/Confirm";
import { tell, tellError } from "../widgets/toasts";

type Filter = components["schemas"]["ConflictFilter"];
type Resolution = components["schemas"]["BulkResolution"];

const CHOICES: [Resolution, string, string][] = [
  ["use_pems", "Keep PEMS' values", "The edits are given up; nothing is sent."],
  ["use_local", "Send the edits", "The authors' values are written over those of PEMS."],
];

/** Resolves many conflicts in one way. What it would do is counted first, and it is refused if that has changed since. */
export function BulkResolution({ filter, onClose }: { filter: Filter; onClose: (done: boolean) => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const { instance } = useMe();
  const [resolution, setResolution] = useState<Resolution>("use_pems");
  const [pending, setPending] = useState(false);
  const preview = useQuery({
    queryKey: [CACHE, "/api/pems/conflicts/preview", filter, resolution],
    queryFn: ({ signal }) => api.send("post", "/api/pems/conflicts/preview", { body: { filter, resolution } }, signal),
    staleTime: 0,
  });
  const count = preview.data ? preview.data.conflicts - preview.data.refused : 0;
  const perform = async () => {
    setPending(true);
    try {
      const body = { filter, resolution, digest: preview.data?.digest ?? "" };
      const result = await api.send("post", "/api/pems/conflicts/resolve", {
        header: { "Idempotency-Key": idempotencyKey() },
        body,
      });
      const undo = async () => {
        try {
          const results = await Promise.all(
            result.jobIds.map((jobId) =>
              api.send("post", "/api/pems/jobs/{jobId}/undo", {
                path: { jobId },
                body: { reason: "Undone by its author in the dashboard" },
              }),
            ),
          );
          const open = results.reduce((sum, { undone, waiting }) => sum + undone + waiting, 0);
          tell(counted(open, "conflict is open again", "conflicts are open again"));
          void cache.invalidateQueries({ queryKey: [CACHE] });
        } catch (error) {
          tellError("It could not be undone", error);
        }
      };
      tell(counted(result.resolved, "conflict is resolved", "conflicts are resolved"), {
        lines: [
          result.waiting
            ? `${counted(result.waiting, "follows", "follow")} in the background; you may close this page`
            : "",
          result.refused ? counted(result.refused, "stays open", "stay open") : "",
        ].filter(Boolean),
        link: (
          <span className="flex gap-2">
            {result.jobIds.map((jobId) => (
              <JobLink key={jobId} jobId={jobId} />
            ))}
          </span>
        ),
        action: { label: "Undo", run: () => void undo() },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      onClose(true);
    } catch (error) {
      setPending(false);
      if (error instanceof ApiError && error.code === "moved_on") void preview.refetch();
      tellError("Nothing was resolved", error);
    }
  };
  return (
    <Confirm
      title="Resolve several conflicts"
      action={`Resolve ${countText(count)}`}
      pending={pending}
      blocked={preview.data ? (count === 0 ? "None can be resolved in this way" : undefined) : "It is being counted"}
      danger={resolution === "use_local"}
      typed={instance.production && resolution === "use_local" ? instance.name || "production" : undefined}
      onConfirm={() => void perform()}
      onClose={() => onClose(false)}
    >
      <fieldset className="flex flex-col gap-2">
        <legend className="mb-1 font-medium">How</legend>
        {CHOICES.map(([value, label, meaning]) => (
          <label key={value} className="flex items-start gap-2">
            <input
              type="radio"
              name="resolution"
              className="mt-1"
              checked={resolution === value}
              onChange={() => setResolution(value)}
            />
            <span>
              {label}
              <span className="block text-secondary">{meaning}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <Answered query={preview} rows={2}>
        {(data) => (
          <div className="rounded-md bg-panel p-3">
            <p>
              <strong className="font-medium">{counted(data.conflicts, "conflict", "conflicts")}</strong> of{" "}
              {counted(data.records, "record", "records")}. {counted(data.sends, "sends", "send")} a change to PEMS.
            </p>
            {data.refused > 0 && (
              <p className="text-attention">
                {countText(data.refused)} can't be resolved in this way and {data.refused === 1 ? "stays" : "stay"}{" "}
                open.
              </p>
            )}
            <p className="text-secondary">
              {Object.entries(data.byField)
                .map(([field, number]) => `${fieldOf(field).label}: ${countText(Number(number))}`)
                .join(" · ")}
            </p>
            <p className="text-secondary">
              Other conflicts and other changes are not touched. If one of these changes meanwhile, nothing is done.
            </p>
          </div>
        )}
      </Answered>
    </Confirm>
  );
}
