import { Link } from "@tanstack/react-router";
import { useCodeOf } from "../frame/me";
import { useView } from "../frame/view";
import { More } from "../lists/More";
import { usePages } from "../lists/usePages";
import { codeText } from "../plan/status";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { Choice } from "../widgets/Choice";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";

const OUTCOMES: Record<string, string> = { waiting: "Waiting", done: "Done", skipped: "Left out", failed: "Failed" };

/** The records of a bulk job, and what became of each. */
export function JobItems({ jobId, organizationId }: { jobId: string; organizationId: string }) {
  const [view, change] = useView();
  const codeOf = useCodeOf();
  const list = usePages("/api/pems/jobs/{jobId}/items", {
    path: { jobId },
    query: { outcome: view.outcome as never, limit: 200 },
  });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const items = list.data.pages.flatMap((page) => page.items);
  return (
    <div className="flex flex-col gap-2">
      <div className="px-4">
        <Choice
          label="Show"
          value={view.outcome ?? ""}
          options={[["", "all"], ...Object.entries(OUTCOMES)]}
          onChange={(outcome) => change({ outcome })}
        />
      </div>
      {items.length === 0 ? (
        <Empty title="No records" />
      ) : (
        <TableScroll label="Items of the job" className="border-t border-line">
          <table className="data-table">
            <thead>
              <tr>
                <th scope="col">PFA</th>
                <th scope="col">Outcome</th>
                <th scope="col">Why</th>
                <th scope="col" className="number">
                  Slice
                </th>
                <th scope="col">Ended</th>
              </tr>
            </thead>
            <tbody>
              {items.map((item) => (
                <tr key={item.item}>
                  <td>
                    <Link
                      to="/records/$pfaId"
                      params={{ pfaId: item.pfaId }}
                      search={{ org: codeOf(organizationId) } as never}
                      className="link"
                    >
                      {item.pfaId}
                    </Link>
                  </td>
                  <td
                    className={
                      item.outcome === "failed" ? "text-failed" : item.outcome === "skipped" ? "text-attention" : ""
                    }
                  >
                    {OUTCOMES[item.outcome] ?? item.outcome}
                  </td>
                  <td title={item.meaning ?? undefined}>
                    {item.cause ? codeText(item.cause) : ""}
                    {item.detail ? `: ${item.detail}` : ""}
                  </td>
                  <td className="number">{item.slice ?? "—"}</td>
                  <td>{item.endedAt ? <Time at={item.endedAt} /> : "—"}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <More query={list} />
        </TableScroll>
      )}
    </div>
  );
}
