import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { reading, useApi } from "../api/context";
import type { PemsSystem } from "../api/types";
import { useCodeOf, useMe } from "../frame/me";
import { Answered } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";
import { AssignDialog, DefineDialog, RetireDialog } from "./SystemDialogs";

const BREAKERS: Record<string, [label: string, tone: string]> = {
  closed: ["answers", "text-good"],
  "half-open": ["is being probed", "text-attention"],
  open: ["does not answer: requests wait", "text-failed"],
};

/** Every PEMS: where it is, its limit, whether it answers, and which organizations have it. */
export function Systems() {
  const query = useQuery(reading(useApi(), "/api/pems/systems"));
  const codeOf = useCodeOf();
  const me = useMe();
  const locked = me.role === "admin" ? undefined : "Only an administrator of all organizations changes this";
  const [dialog, setDialog] = useState<{ kind: "define" | "assign" | "retire"; system?: PemsSystem } | null>(null);
  return (
    <div className="flex flex-col gap-2">
      <div className="px-4">
        <Button reason={locked} onClick={() => setDialog({ kind: "define" })}>
          Define a PEMS…
        </Button>
      </div>
      <Answered query={query} rows={2}>
        {({ systems }) => (
          <TableScroll label="PEMS" className="border-t border-line">
            <table className="data-table">
              <thead>
                <tr>
                  <th scope="col">PEMS</th>
                  <th scope="col">Address</th>
                  <th scope="col">State</th>
                  <th scope="col">One request each</th>
                  <th scope="col" className="number">
                    Batch
                  </th>
                  <th scope="col">Organizations</th>
                  <th scope="col">Defined</th>
                  <th scope="col">
                    <span className="sr-only">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {systems.map((system) => {
                  const [label, tone] = system.retiredAt
                    ? ["retired", "text-secondary"]
                    : (BREAKERS[system.breaker ?? "closed"] ?? ["", ""]);
                  return (
                    <tr key={system.pems}>
                      <td className="font-medium">{system.pems}</td>
                      <td className="break-all">{system.url ?? "as the relays' settings name it"}</td>
                      <td className={tone}>{label}</td>
                      <td>{system.slotInterval}</td>
                      <td className="number">{system.batchSize}</td>
                      <td>{system.organizations.map((id) => codeOf(id)).join(", ") || "none"}</td>
                      <td>
                        {system.definedBy} <Time at={system.definedAt} />
                      </td>
                      <td className="text-right whitespace-nowrap">
                        {!system.retiredAt && (
                          <>
                            <Button kind="text" reason={locked} onClick={() => setDialog({ kind: "assign", system })}>
                              Assign…
                            </Button>
                            <Button kind="text" reason={locked} onClick={() => setDialog({ kind: "define", system })}>
                              Change…
                            </Button>
                            <Button
                              kind="text"
                              reason={
                                locked ??
                                (system.organizations.length > 0
                                  ? "Organizations have it: assign them another one first"
                                  : undefined)
                              }
                              onClick={() => setDialog({ kind: "retire", system })}
                            >
                              Retire…
                            </Button>
                          </>
                        )}
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </TableScroll>
        )}
      </Answered>
      {dialog?.kind === "define" && <DefineDialog system={dialog.system} onClose={() => setDialog(null)} />}
      {dialog?.kind === "assign" && dialog.system && (
        <AssignDialog system={dialog.system} onClose={() => setDialog(null)} />
      )}
      {dialog?.kind === "retire" && dialog.system && (
        <RetireDialog system={dialog.system} onClose={() => setDialog(null)} />
      )}
    </div>
  );
}
