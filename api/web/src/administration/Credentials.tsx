import { useQuery } from "@tanstack/react-query";
import { reading, useApi } from "../api/context";
import { useCodeOf } from "../frame/me";
import { Answered, Empty } from "../widgets/Answered";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";

/** From this age on, credentials are to be rotated; the limit is 90 days. */
const SOON = 75;
const LIMIT = 90;

/** The credentials for PEMS without their secrets, with their age. */
export function Credentials() {
  const query = useQuery(reading(useApi(), "/api/pems/credentials"));
  const codeOf = useCodeOf();
  return (
    <Answered query={query} rows={3}>
      {({ credentials }) =>
        credentials.length === 0 ? (
          <Empty title="No stored credentials">
            The relays use those of their settings. <code>pfa-relay credentials</code> stores and rotates credentials
            that all relays share.
          </Empty>
        ) : (
          <TableScroll label="Credentials" className="border-t border-line">
            <table className="data-table">
              <thead>
                <tr>
                  <th scope="col">PEMS</th>
                  <th scope="col">For</th>
                  <th scope="col">Kind</th>
                  <th scope="col">User</th>
                  <th scope="col">State</th>
                  <th scope="col" className="number">
                    Age, days
                  </th>
                  <th scope="col">Verified</th>
                  <th scope="col">Stored by</th>
                </tr>
              </thead>
              <tbody>
                {credentials.map((row) => {
                  const age = row.ageDays ?? 0;
                  return (
                    <tr key={row.credentialId}>
                      <td>{row.pems}</td>
                      <td>{row.organizationId ? codeOf(row.organizationId) : "all without their own"}</td>
                      <td>{row.kind.replace("_", " ")}</td>
                      <td>{row.userName ?? "—"}</td>
                      <td>
                        {row.status}, version {row.version}
                      </td>
                      <td className={`number ${age >= LIMIT ? "text-failed" : age >= SOON ? "text-attention" : ""}`}>
                        {row.ageDays ?? "—"}
                        {age >= LIMIT ? " (overdue)" : age >= SOON ? " (rotate soon)" : ""}
                      </td>
                      <td>{row.verifiedAt ? <Time at={row.verifiedAt} /> : "never"}</td>
                      <td>
                        {row.createdBy} <Time at={row.createdAt} />
                      </td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </TableScroll>
        )
      }
    </Answered>
  );
}
