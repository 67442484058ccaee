import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, reading, useApi } from "../api/context";
import type { Values } from "../api/types";
import { useMe } from "../frame/me";
import { fieldOf } from "../plan/fields";
import { codeText } from "../plan/status";
import { valueText } from "../plan/value";
import { Answered } from "../widgets/Answered";
import { Choice } from "../widgets/Choice";
import { Confirm } from "../widgets/Confirm";
import { tell, tellError } from "../widgets/toasts";

/** Sets a record back to an earlier version: shows what that changes first. */
export function RestoreVersion({
  pfaId,
  organizationId,
  version,
  onClose,
}: {
  pfaId: string;
  organizationId: string;
  version: number;
  onClose: () => void;
}) {
  const api = useApi();
  const cache = useQueryClient();
  const navigate = useNavigate();
  const me = useMe();
  const [chosen, setChosen] = useState(version - 1);
  const [pending, setPending] = useState(false);
  const path = { pfaId, version: chosen };
  const preview = useQuery({
    ...reading(api, "/api/pems/records/{pfaId}/versions/{version}/restore", { path, query: { organizationId } }),
    staleTime: 0,
  });
  const restore = async (reason: string) => {
    setPending(true);
    try {
      const body = { organizationId, reason, digest: preview.data?.digest };
      const result = await api.send("post", "/api/pems/records/{pfaId}/versions/{version}/restore", {
        path,
        header: { "Idempotency-Key": idempotencyKey() },
        body,
      });
      tell(`Record ${pfaId} goes back to version ${chosen}`);
      void cache.invalidateQueries({ queryKey: [CACHE] });
      onClose();
      void navigate({ to: "/history/$jobId", params: { jobId: result.jobId } });
    } catch (error) {
      setPending(false);
      void preview.refetch();
      tellError("The record was not restored", error);
    }
  };
  const [current, restored] = [preview.data?.current, preview.data?.restored].map((values) => (values ?? {}) as Values);
  const isBlocked = preview.data?.action === "blocked";
  return (
    <Confirm
      wide
      danger
      title={`Restore record ${pfaId}`}
      action={`Restore version ${chosen}`}
      reasonLength={10}
      pending={pending}
      blocked={
        !preview.data
          ? "It is being looked at"
          : isBlocked
            ? (preview.data.detail ?? codeText(preview.data.cause ?? "blocked"))
            : undefined
      }
      typed={me.instance.production ? me.instance.name || "production" : undefined}
      onConfirm={(reason) => void restore(reason)}
      onClose={onClose}
    >
      <Choice
        label="Version"
        value={String(chosen)}
        options={Array.from({ length: Math.min(version - 1, 100) }, (_, index) => String(version - 1 - index)).map(
          (number) => [number, number],
        )}
        onChange={(number) => setChosen(Number(number))}
      />
      <Answered query={preview} rows={3}>
        {(data) =>
          data.action === "blocked" ? (
            <p className="text-attention">
              {codeText(data.cause ?? "blocked")}
              {data.detail ? `: ${data.detail}` : ""}
            </p>
          ) : (
            <table className="data-table">
              <thead>
                <tr>
                  <th scope="col">Field</th>
                  <th scope="col">Now</th>
                  <th scope="col">Version {chosen}</th>
                </tr>
              </thead>
              <tbody>
                {Object.keys({ ...current, ...restored }).map((name) => (
                  <tr key={name}>
                    <td>{fieldOf(name).label}</td>
                    <td>{valueText(fieldOf(name), current?.[name])}</td>
                    <td className="font-medium">{valueText(fieldOf(name), restored?.[name])}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )
        }
      </Answered>
      <p className="text-secondary">It is written to PEMS as an edit of yours. Other records are not touched.</p>
    </Confirm>
  );
}
