import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, reading, useApi } from "../api/context";
import { errorLines } from "../api/problem";
import type { AlertRule } from "../api/types";
import { useCodeOf, useMay, useMe } from "../frame/me";
import { countText } from "../plan/count";
import { codeText } from "../plan/status";
import { Answered } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Dialog } from "../widgets/Dialog";
import { TableScroll } from "../widgets/TableScroll";
import { tell } from "../widgets/toasts";

/** The rules that raise alerts: threshold, how long, how severe; for all or for one organization. */
export function Rules() {
  const query = useQuery(reading(useApi(), "/api/pems/alert-rules"));
  const codeOf = useCodeOf();
  const [edited, setEdited] = useState<AlertRule | null>(null);
  return (
    <Answered query={query} rows={10}>
      {({ rules }) => (
        <TableScroll label="Alert rules" className="border-t border-line">
          <table className="data-table">
            <thead>
              <tr>
                <th scope="col">Rule</th>
                <th scope="col">For</th>
                <th scope="col">Raised</th>
                <th scope="col" className="number">
                  Threshold
                </th>
                <th scope="col">Held for</th>
                <th scope="col">Meaning</th>
                <th scope="col">
                  <span className="sr-only">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rules.map((rule) => (
                <tr key={`${rule.rule}/${rule.organizationId}`}>
                  <td>{codeText(rule.rule)}</td>
                  <td>{rule.organizationId ? codeOf(rule.organizationId) : "all"}</td>
                  <td className={rule.enabled ? "" : "text-secondary"}>{rule.enabled ? rule.severity : "off"}</td>
                  <td className="number">
                    {countText(rule.threshold)} {rule.unit}
                  </td>
                  <td>{rule.holdFor}</td>
                  <td className="max-w-lg min-w-64 py-1">{rule.meaning}</td>
                  <td>
                    <Button kind="text" aria-label={`Change ${codeText(rule.rule)}`} onClick={() => setEdited(rule)}>
                      Change…
                    </Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {edited && <RuleDialog rule={edited} onClose={() => setEdited(null)} />}
        </TableScroll>
      )}
    </Answered>
  );
}

function RuleDialog({ rule, onClose }: { rule: AlertRule; onClose: () => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const me = useMe();
  const may = useMay();
  const [scope, setScope] = useState(rule.organizationId ?? "");
  const [severity, setSeverity] = useState(rule.enabled ? rule.severity : "off");
  const [threshold, setThreshold] = useState(String(rule.threshold));
  const [holdFor, setHoldFor] = useState(rule.holdFor);
  const [failure, setFailure] = useState<string[]>();
  const both = may("perm_ConfigureAlerts", scope || undefined) && may("perm_ManageSettings", scope || undefined);
  const locked =
    !scope && me.role !== "admin" ? "Only an administrator changes what holds for all organizations" : both;
  const number = Number(threshold);
  const save = async () => {
    try {
      const enabled = severity !== "off";
      const body = {
        organizationId: scope || null,
        enabled,
        severity: enabled ? severity : null,
        threshold: number,
        holdFor,
      };
      await api.send("put", "/api/pems/alert-rules/{rule}", { path: { rule: rule.rule }, body });
      void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/alert-rules"] });
      tell(`The rule ${codeText(rule.rule).toLowerCase()} is changed`);
      onClose();
    } catch (error) {
      setFailure(errorLines(error));
    }
  };
  const organizations: [string, string][] = [
    ["", "all organizations"],
    ...(rule.scope === "organization"
      ? me.organizations.map(({ organizationId, code }): [string, string] => [organizationId, code ?? organizationId])
      : []),
  ];
  return (
    <Dialog
      title={codeText(rule.rule)}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            reason={locked ?? (Number.isFinite(number) && threshold.trim() ? undefined : "Write a number")}
            onClick={() => void save()}
          >
            Save
          </Button>
        </>
      }
    >
      <p>{rule.meaning}.</p>
      <Choice label="For" value={scope} options={organizations} onChange={setScope} />
      <Choice
        label="Raised as"
        value={severity}
        options={[
          ["warning", "warning"],
          ["critical", "critical"],
          ["off", "never: the rule is off"],
        ]}
        onChange={setSeverity}
      />
      <label className="flex items-center gap-2">
        Threshold
        <input
          className="field w-28"
          inputMode="decimal"
          value={threshold}
          onChange={(event) => setThreshold(event.target.value)}
        />
        {rule.unit}
      </label>
      <label className="flex items-center gap-2">
        Held for
        <input className="field w-28" value={holdFor} onChange={(event) => setHoldFor(event.target.value)} />
      </label>
      {failure?.map((line) => (
        <p key={line} role="alert" className="text-failed">
          {line}
        </p>
      ))}
    </Dialog>
  );
}
