import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, useApi } from "../api/context";
import type { Failure } from "../api/types";
import { useMay, useMe } from "../frame/me";
import { codeText } from "../plan/status";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Dialog } from "../widgets/Dialog";
import { tell, tellError } from "../widgets/toasts";

/** What is noted about a cause of failures: its state, who looks into it, and a note. */
export function CaseDialog({
  failure,
  states,
  onClose,
}: {
  failure: Failure;
  states: Record<string, [string, string]>;
  onClose: () => void;
}) {
  const api = useApi();
  const cache = useQueryClient();
  const me = useMe();
  const may = useMay();
  const [state, setState] = useState(failure.state);
  const [owner, setOwner] = useState(failure.owner ?? "");
  const [note, setNote] = useState(failure.note ?? "");
  const save = async () => {
    try {
      await api.send("put", "/api/pems/failures/{code}", {
        path: { code: failure.code },
        body: { organizationId: failure.organizationId, state, owner: owner || null, note: note || null },
      });
      void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/failures"] });
      tell("The note is saved");
      onClose();
    } catch (error) {
      tellError("The note was not saved", error);
    }
  };
  return (
    <Dialog
      title={`About ${codeText(failure.code).toLowerCase()}`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            reason={may("perm_ManageSettings", failure.organizationId)}
            onClick={() => void save()}
          >
            Save
          </Button>
        </>
      }
    >
      <Choice
        label="State"
        value={state}
        options={Object.entries(states).map(([value, [label]]) => [value, label])}
        onChange={setState}
      />
      <Choice
        label="Owner"
        value={owner}
        options={[
          ["", "no owner"] as [string, string],
          [me.userId, `${me.userName} (me)`] as [string, string],
          ...(failure.owner && failure.owner !== me.userId ? [[failure.owner, failure.owner] as [string, string]] : []),
        ]}
        onChange={setOwner}
      />
      <label className="flex flex-col gap-1">
        Note
        <textarea
          className="field h-28"
          value={note}
          maxLength={1000}
          onChange={(event) => setNote(event.target.value)}
        />
      </label>
    </Dialog>
  );
}
