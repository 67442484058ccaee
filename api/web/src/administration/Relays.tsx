import { useQuery } from "@tanstack/react-query";
import { reading, useApi } from "../api/context";
import { useCodeOf } from "../frame/me";
import { Answered, Empty } from "../widgets/Answered";
import { Icon } from "../widgets/icons";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";

type Fault = { organizationId?: string; organization_id?: string; reason: string };

/** The relays that were seen within a day. */
export function Relays() {
  const query = useQuery({ ...reading(useApi(), "/api/pems/relays"), refetchInterval: 15_000 });
  const codeOf = useCodeOf();
  return (
    <Answered query={query} rows={2}>
      {({ relays }) =>
        relays.length === 0 ? (
          <Empty title="No relay was seen within a day">
            Nothing is sent or read without one: start <code>pfa-relay run</code>.
          </Empty>
        ) : (
          <TableScroll label="Relays" className="border-t border-line">
            <table className="data-table">
              <thead>
                <tr>
                  <th scope="col">Relay</th>
                  <th scope="col">State</th>
                  <th scope="col">Last heartbeat</th>
                  <th scope="col">Running since</th>
                  <th scope="col">Version</th>
                  <th scope="col">Serves</th>
                </tr>
              </thead>
              <tbody>
                {relays.map((relay) => (
                  <tr key={relay.relay}>
                    <td className="font-mono text-xs">{relay.relay}</td>
                    <td>
                      <span className={`inline-flex items-center gap-1.5 ${relay.alive ? "text-good" : "text-failed"}`}>
                        <Icon name={relay.alive ? "synced" : "failed"} size={14} />
                        {relay.alive ? "Alive" : "Silent"}
                      </span>
                      {relay.alive && relay.listening === false && (
                        <span className="block text-xs text-attention">Notifications do not reach it: it polls</span>
                      )}
                    </td>
                    <td>
                      <Time at={relay.seenAt} />
                    </td>
                    <td>
                      <Time at={relay.startedAt} absolute />
                    </td>
                    <td>{relay.version}</td>
                    <td>
                      {relay.organizations.map((id) => codeOf(id)).join(", ") || "none"}
                      {((relay.faults ?? []) as unknown as Fault[]).map((fault) => (
                        <span key={fault.organizationId ?? fault.organization_id} className="block text-attention">
                          Not {codeOf(fault.organizationId ?? fault.organization_id)}: {fault.reason}
                        </span>
                      ))}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableScroll>
        )
      }
    </Answered>
  );
}
