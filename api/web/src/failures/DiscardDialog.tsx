import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, useApi } from "../api/context";
import { ApiError } from "../api/problem";
import { useMe } from "../frame/me";
import { counted, countText } from "../plan/count";
import { codeText } from "../plan/status";
import { Answered } from "../widgets/Answered";
import { Confirm } from "../widgets/Confirm";
import { tell, tellError } from "../widgets/toasts";
import { type Filter, useSelectionPreview } from "./selection";

/** Gives failed changes up, with a reason. It can be undone. */
export function DiscardDialog({ filter, onClose }: { filter: Filter; onClose: () => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const { instance } = useMe();
  const preview = useSelectionPreview(filter);
  const [pending, setPending] = useState(false);
  const count = preview.data?.deadLetters ?? 0;
  const perform = async (reason: string) => {
    setPending(true);
    try {
      const result = await api.send("post", "/api/pems/dead-letters/discard", {
        body: { filter, reason, digest: preview.data?.digest },
      });
      const undo = async () => {
        try {
          await Promise.all(
            result.jobIds.map((jobId) =>
              api.send("post", "/api/pems/jobs/{jobId}/undo", {
                path: { jobId },
                body: { reason: "Undone by its author in the dashboard" },
              }),
            ),
          );
          void cache.invalidateQueries({ queryKey: [CACHE] });
        } catch (error) {
          tellError("It could not be undone", error);
        }
      };
      tell(counted(result.discarded + result.waiting, "change is discarded", "changes are discarded"), {
        action: { label: "Undo", run: () => void undo() },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      onClose();
    } catch (error) {
      setPending(false);
      if (error instanceof ApiError && error.code === "moved_on") void preview.refetch();
      tellError("Nothing was discarded", error);
    }
  };
  return (
    <Confirm
      danger
      title="Discard failed changes"
      action={`Discard ${countText(count)}`}
      reasonLength={1}
      pending={pending}
      blocked={!preview.data ? "They are being counted" : count === 0 ? "None is selected" : undefined}
      typed={instance.production && count > 1 ? instance.name || "production" : undefined}
      onConfirm={(reason) => void perform(reason)}
      onClose={onClose}
    >
      <Answered query={preview} rows={2}>
        {(data) => (
          <p>
            <strong className="font-medium">{counted(data.deadLetters, "change", "changes")}</strong> of{" "}
            {counted(data.records, "record", "records")} {data.deadLetters === 1 ? "is" : "are"} given up (
            {Object.entries(data.byCode)
              .map(([code, number]) => `${countText(Number(number))} ${codeText(code).toLowerCase()}`)
              .join(", ")}
            ). The records in PEMS, and other changes, are not touched.
          </p>
        )}
      </Answered>
    </Confirm>
  );
}
