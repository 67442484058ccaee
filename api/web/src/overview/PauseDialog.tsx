import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, useApi } from "../api/context";
import { useMe } from "../frame/me";
import { counted } from "../plan/count";
import { Choice } from "../widgets/Choice";
import { Confirm } from "../widgets/Confirm";
import { tell, tellError } from "../widgets/toasts";

const LENGTHS: [string, string][] = [
  ["", "until it is resumed"],
  ["15", "for 15 minutes"],
  ["60", "for 1 hour"],
  ["480", "for 8 hours"],
];

const EXTENTS: [string, string][] = [
  ["", "sending; changes of PEMS still arrive"],
  ["both", "sending and pulling, to empty the road before maintenance"],
];

/** Asks before sending, or sending and pulling, is stopped for an organization. */
export function PauseDialog({
  organizationId,
  code,
  waiting,
  onClose,
}: {
  organizationId: string;
  code: string;
  waiting: number;
  onClose: () => void;
}) {
  const api = useApi();
  const cache = useQueryClient();
  const { instance } = useMe();
  const [minutes, setMinutes] = useState("");
  const [extent, setExtent] = useState("");
  const [pending, setPending] = useState(false);
  const pause = async (reason: string) => {
    setPending(true);
    const draining = extent === "both";
    const until = minutes ? new Date(Date.now() + Number(minutes) * 60_000).toISOString() : undefined;
    try {
      await (draining
        ? api.send("post", "/api/pems/drain", { body: { organizationId, reason } })
        : api.send("post", "/api/pems/pause", { body: { organizationId, reason, until } }));
      tell(`${draining ? "Sending and pulling are" : "Sending is"} paused for ${code}`, {
        action: {
          label: "Resume",
          run: () =>
            void api.send("post", "/api/pems/resume", { body: { organizationId } }).then(
              () => cache.invalidateQueries({ queryKey: [CACHE] }),
              (error) => tellError("Not resumed", error),
            ),
        },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      onClose();
    } catch (error) {
      setPending(false);
      tellError(`${code} was not paused`, error);
    }
  };
  return (
    <Confirm
      title={`Pause sending for ${code}`}
      action={`Pause ${code}`}
      danger
      pending={pending}
      reasonLength={1}
      typed={instance.production ? instance.name || "production" : undefined}
      onConfirm={pause}
      onClose={onClose}
    >
      <p>
        Changes of {code} wait until sending goes on; {counted(waiting, "waits", "wait")} now. Users can go on to edit
        and commit. What PEMS is writing now ends as it does. Other organizations are not touched.
      </p>
      <Choice label="Stop" value={extent} options={EXTENTS} onChange={setExtent} />
      {extent === "" ? (
        <Choice label="Pause" value={minutes} options={LENGTHS} onChange={setMinutes} />
      ) : (
        <p>Both stand still until they are resumed. Administration shows when nothing is in flight.</p>
      )}
    </Confirm>
  );
}
