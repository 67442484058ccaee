import type { RollbackRecord, Values } from "../api/types";
import { More } from "../lists/More";
import { usePages } from "../lists/usePages";
import { amountText, differenceText } from "../plan/amount";
import { fieldOf } from "../plan/fields";
import { codeText } from "../plan/status";
import { valueText } from "../plan/value";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";

const ACTIONS: Record<string, [label: string, tone: string]> = {
  restore: ["Set back", "text-link"],
  withdraw: ["Withdrawn", "text-secondary"],
  blocked: ["Left out", "text-attention"],
};

/** Each record of a rollback: what it is now, what it would be, and why not. */
export function RollbackRecords({ jobId, batchId }: { jobId: string; batchId?: string }) {
  const list = usePages("/api/pems/jobs/{jobId}/rollback/records", { path: { jobId }, query: { batchId, limit: 100 } });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const records = list.data.pages.flatMap((page) => page.records);
  if (records.length === 0) return <Empty title="This job wrote no record" />;
  return (
    <TableScroll label="Records of the rollback" className="border-t border-line">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">PFA</th>
            <th scope="col">What happens</th>
            <th scope="col">Now</th>
            <th scope="col">After</th>
            <th scope="col" className="number">
              Cost after
            </th>
            <th scope="col">Why not</th>
          </tr>
        </thead>
        <tbody>
          {records.map((record) => (
            <RecordLine key={record.pfaId} record={record} />
          ))}
        </tbody>
      </table>
      <More query={list} />
    </TableScroll>
  );
}

function RecordLine({ record }: { record: RollbackRecord }) {
  const [label, tone] = ACTIONS[record.action] ?? [record.action, ""];
  const [now, after] = [record.current, record.restored].map((values) => (values ?? {}) as Values);
  const fields = Object.keys({ ...now, ...after });
  // What is left out keeps its cost.
  const cost = record.action === "restore" ? record.restoredCost : null;
  const lines = (values: Values | undefined, strong?: boolean) =>
    fields.map((name) => (
      <span key={name} className={`block ${strong ? "font-medium" : ""}`}>
        {fieldOf(name).label}: {valueText(fieldOf(name), values?.[name])}
      </span>
    ));
  return (
    <tr>
      <td>{record.pfaId}</td>
      <td className={tone}>{label}</td>
      <td className="py-1">{lines(now)}</td>
      <td className="py-1">
        {record.action === "restore"
          ? lines(after, true)
          : record.action === "withdraw"
            ? "as now; the queued change is a draft"
            : "as now"}
      </td>
      <td className="number">
        {cost == null ? "—" : amountText(cost)}
        {cost != null && record.currentCost != null && cost !== record.currentCost && (
          <span className="block text-xs text-secondary">{differenceText(cost - record.currentCost)}</span>
        )}
      </td>
      <td className="py-1">
        {record.cause && codeText(record.cause)}
        {record.detail && (
          <span className="block text-secondary">
            {record.detail
              .split(", ")
              .map((part) => fieldOf(part).label)
              .join(", ")}
          </span>
        )}
        {record.changedByName && (
          <span className="block text-secondary">
            by {record.changedByName} {record.since && <Time at={record.since} />}
          </span>
        )}
      </td>
    </tr>
  );
}
