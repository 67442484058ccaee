import { Link } from "@tanstack/react-router";
import { useCodeOf } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { More } from "../lists/More";
import { usePages } from "../lists/usePages";
import { fieldOf } from "../plan/fields";
import { valueText } from "../plan/value";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";

const RESOLUTIONS: Record<string, string> = {
  use_local: "the edit was sent",
  use_pems: "PEMS' values stayed",
  merge: "merged",
};

type ResolvedField = { field: string; conflict: boolean; ours?: never; theirs?: never; merged?: never };

/** Conflicts that were decided: how, by whom, and what came of each field. */
export function ResolvedConflicts() {
  const [view] = useView();
  const organization = useOrganization();
  const codeOf = useCodeOf();
  const list = usePages("/api/pems/resolved-conflicts", {
    query: {
      organizationId: organization?.organizationId,
      field: view.field,
      code: view.code,
      pfaId: view.pfaId,
      startDate: view.since && `${view.since}T00:00:00Z`,
      limit: 100,
    },
  });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const rows = list.data.pages.flatMap(({ conflicts }) => conflicts);
  if (rows.length === 0) return <Empty title="No resolved conflicts" />;
  return (
    <TableScroll label="Resolved conflicts" className="border-t border-line">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">Record</th>
            <th scope="col">Result</th>
            <th scope="col">Fields</th>
            <th scope="col">Author</th>
            <th scope="col">Resolved by</th>
            <th scope="col">When</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.conflictId}>
              <td>
                <Link
                  to="/records/$pfaId"
                  params={{ pfaId: row.pfaId }}
                  search={{ org: codeOf(row.organizationId) } as never}
                  className="link"
                >
                  {row.pfaId}
                </Link>{" "}
                <span className="text-secondary">{codeOf(row.organizationId)}</span>
              </td>
              <td>
                {row.resolution
                  ? (RESOLUTIONS[row.resolution] ?? row.resolution)
                  : "not decided: the edit was withdrawn"}
              </td>
              <td className="max-w-lg">
                {((row.fields ?? []) as unknown as ResolvedField[])
                  .filter(({ conflict }) => conflict)
                  .map(({ field, ours, theirs, merged }) => {
                    const known = fieldOf(field);
                    return (
                      <span key={field} className="block">
                        {known.label}: {valueText(known, merged)}
                        <span className="text-secondary">
                          {" "}
                          (edit {valueText(known, ours)}, PEMS {valueText(known, theirs)})
                        </span>
                      </span>
                    );
                  })}
              </td>
              <td>{row.authorName}</td>
              <td>{row.status === "resolved_auto" ? "a rule" : (row.resolvedByName ?? row.resolvedBy ?? "—")}</td>
              <td>
                <Time at={row.resolvedAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <More query={list} />
    </TableScroll>
  );
}
