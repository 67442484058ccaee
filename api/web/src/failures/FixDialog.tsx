import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, reading, useApi } from "../api/context";
import { errorLines } from "../api/problem";
import type { DeadLetter, Value, Values, WholeRecord } from "../api/types";
import { Entry } from "../plan/Entry";
import { fieldOf } from "../plan/fields";
import { valueText } from "../plan/value";
import { Button } from "../widgets/Button";
import { Dialog } from "../widgets/Dialog";
import { tell } from "../widgets/toasts";

/** Corrects a failed change and sends it in place of the old one. */
export function FixDialog({ letter, onClose }: { letter: DeadLetter; onClose: () => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const before = (letter.changes ?? {}) as Values;
  const [changes, setChanges] = useState<Values>(before);
  const [faults, setFaults] = useState<Record<string, string | undefined>>({});
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<string[]>();
  const record = useQuery(
    reading(api, "/api/pfa-data/records/{pfaId}", {
      path: { pfaId: letter.pfaId },
      query: { organizationId: letter.organizationId },
    }),
  );
  const data = (record.data as unknown as WholeRecord | undefined)?.data;
  const fault = Object.values(faults).find(Boolean);
  const send = async () => {
    setPending(true);
    setFailure(undefined);
    try {
      const body = { filter: { queueIds: [letter.queueId] }, changes };
      const result = await api.send("post", "/api/pems/dead-letters/requeue", {
        header: { "Idempotency-Key": idempotencyKey() },
        body,
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      if (result.requeued === 1) tell(`The corrected change of record ${letter.pfaId} is sent`);
      else if (result.conflicts === 1)
        tell(`The change of record ${letter.pfaId} conflicts with a later one`, {
          tone: "info",
          lines: ["It waits among the conflicts."],
        });
      else {
        setPending(false);
        return setFailure([
          "The change is still not valid, was decided about meanwhile, or its author lacks a permission. Nothing was sent.",
        ]);
      }
      onClose();
    } catch (error) {
      setPending(false);
      setFailure(errorLines(error));
    }
  };
  return (
    <Dialog
      title={`Fix the change of record ${letter.pfaId}`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" reason={pending ? "It is being sent" : fault} onClick={() => void send()}>
            Resend
          </Button>
        </>
      }
    >
      <p className="break-words text-failed">{letter.error}</p>
      {Object.keys(before).map((name) => {
        const field = fieldOf(name);
        return (
          <div key={name} className="flex flex-col gap-1">
            <span className="font-medium">{field.label}</span>
            <Entry
              field={field}
              value={changes[name]}
              onChange={(value: Value, wrong) => {
                setFaults((faults) => ({ ...faults, [name]: wrong }));
                if (!wrong) setChanges((changes) => ({ ...changes, [name]: value ?? null }));
              }}
            />
            <span className="text-xs text-secondary">
              Failed with {valueText(field, before[name])}
              {data && `; PEMS has ${valueText(field, data[name])}`}
            </span>
            {faults[name] && <span className="text-xs text-failed">{faults[name]}</span>}
          </div>
        );
      })}
      {failure && (
        <div role="alert" className="rounded border border-failed bg-failed-back p-2">
          {failure.map((line) => (
            <p key={line}>{line}</p>
          ))}
        </div>
      )}
      <p className="text-secondary">
        The corrected values replace those of the failed change: it is never sent as well.
      </p>
    </Dialog>
  );
}
