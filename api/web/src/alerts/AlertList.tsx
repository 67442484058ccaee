import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, useApi } from "../api/context";
import { errorLines } from "../api/problem";
import type { Alert } from "../api/types";
import { useCodeOf, useMay } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { More } from "../lists/More";
import { usePages } from "../lists/usePages";
import { codeText, sentence } from "../plan/status";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Dialog } from "../widgets/Dialog";
import { Icon } from "../widgets/icons";
import { Time } from "../widgets/Time";
import { tell } from "../widgets/toasts";

const STATES: [string, string][] = [
  ["", "all"],
  ["raised", "raised"],
  ["acknowledged", "acknowledged"],
  ["resolved", "resolved"],
];

/** Alerts, the latest first: what is the matter, what to do, and who looks into it. */
export function AlertList() {
  const [view, change] = useView();
  const organization = useOrganization();
  const list = usePages("/api/pems/alerts", {
    query: { organizationId: organization?.organizationId, state: (view.state || undefined) as never, limit: 100 },
  });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const alerts = list.data.pages.flatMap((page) => page.alerts);
  return (
    <div className="flex flex-col gap-3 pb-6">
      <div className="px-4">
        <Choice label="Show" value={view.state ?? ""} options={STATES} onChange={(state) => change({ state })} />
      </div>
      {alerts.length === 0 ? (
        <Empty title={view.state ? "No alert is in this state" : "No alert yet"}>
          A rule raises an alert when its value is beyond the threshold for some time.
        </Empty>
      ) : (
        <ul aria-label="Alerts" className="mx-4 flex flex-col gap-2">
          {alerts.map((alert) => (
            <AlertEntry key={alert.alertId} alert={alert} />
          ))}
        </ul>
      )}
      <More query={list} />
    </div>
  );
}

function AlertEntry({ alert }: { alert: Alert }) {
  const codeOf = useCodeOf();
  const may = useMay();
  const [isOpen, setOpen] = useState(false);
  const isOver = alert.state === "resolved";
  const tone = isOver ? "text-good" : alert.severity === "critical" ? "text-failed" : "text-attention";
  const configure = may("perm_ConfigureAlerts", alert.organizationId);
  const locked = configure && may("perm_ManageSettings", alert.organizationId) ? configure : undefined;
  return (
    <li className="panel flex flex-wrap items-start gap-x-6 gap-y-2 p-3">
      <div className="min-w-64 grow basis-96">
        <p className="flex flex-wrap items-center gap-2">
          <Icon name={isOver ? "synced" : "alerts"} size={15} className={tone} />
          <strong className="font-medium">{codeText(alert.rule)}</strong>
          <span className={tone}>{isOver ? "resolved" : alert.severity}</span>
          <span className="text-secondary">
            {alert.organizationId ? codeOf(alert.organizationId) : "all organizations"}
            {alert.subject ? `, ${alert.subject}` : ""}
          </span>
        </p>
        <p className="break-words">{sentence(alert.reason)}.</p>
        {!isOver && alert.action && <p className="text-secondary">What to do: {alert.action}.</p>}
        {alert.acknowledgedAt && (
          <p className="text-secondary">
            {alert.acknowledgedByName ?? alert.acknowledgedBy} looks into it since <Time at={alert.acknowledgedAt} />
            {alert.note ? `: ${alert.note}` : ""}
          </p>
        )}
      </div>
      <p className="text-[13px] text-secondary">
        since <Time at={alert.since} />
        {alert.resolvedAt && (
          <>
            , resolved <Time at={alert.resolvedAt} />
          </>
        )}
      </p>
      {alert.state === "raised" && (
        <Button reason={locked} onClick={() => setOpen(true)}>
          Acknowledge…
        </Button>
      )}
      {isOpen && <AcknowledgeDialog alert={alert} onClose={() => setOpen(false)} />}
    </li>
  );
}

function AcknowledgeDialog({ alert, onClose }: { alert: Alert; onClose: () => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const [note, setNote] = useState("");
  const [failure, setFailure] = useState<string[]>();
  const save = async () => {
    try {
      const body = { note: note.trim() || null };
      await api.send("post", "/api/pems/alerts/{alertId}/acknowledge", { path: { alertId: alert.alertId }, body });
      void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/alerts"] });
      tell("The alert is acknowledged", { lines: ["It is resolved by itself when its value is back."] });
      onClose();
    } catch (error) {
      setFailure(errorLines(error));
    }
  };
  return (
    <Dialog
      title={`Acknowledge: ${codeText(alert.rule).toLowerCase()}`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" onClick={() => void save()}>
            Acknowledge
          </Button>
        </>
      }
    >
      <p>{sentence(alert.reason)}.</p>
      <label className="flex flex-col gap-1">
        What is done about it
        <textarea
          className="field h-20"
          maxLength={255}
          value={note}
          onChange={(event) => setNote(event.target.value)}
        />
      </label>
      {failure?.map((line) => (
        <p key={line} role="alert" className="text-failed">
          {line}
        </p>
      ))}
    </Dialog>
  );
}
