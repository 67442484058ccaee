import { useCodeOf } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { More } from "../lists/More";
import { usePages } from "../lists/usePages";
import { countText } from "../plan/count";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { durationText } from "../widgets/clock";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";

/** What relays claimed and sent together. */
export function Batches() {
  const [view] = useView();
  const organization = useOrganization();
  const codeOf = useCodeOf();
  const list = usePages("/api/pems/batches", {
    query: {
      organizationId: organization?.organizationId,
      pfaId: view.pfaId,
      jobId: view.job,
      startDate: view.since && `${view.since}T00:00:00Z`,
      endDate: view.until && `${view.until}T23:59:59.999Z`,
      limit: 100,
    },
  });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const batches = list.data.pages.flatMap((page) => page.batches);
  if (batches.length === 0)
    return (
      <Empty title="No batch matches">A batch is what a relay sends to PEMS in one request, up to 100 records.</Empty>
    );
  return (
    <TableScroll label="Batches" className="border-t border-line">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">Batch</th>
            <th scope="col">Organization</th>
            <th scope="col" className="number">
              Records
            </th>
            <th scope="col">Step</th>
            <th scope="col">Relay</th>
            <th scope="col">Claimed</th>
            <th scope="col">Sent after</th>
          </tr>
        </thead>
        <tbody>
          {batches.map((batch) => (
            <tr key={batch.batchId}>
              <td>{batch.batchId}</td>
              <td>{codeOf(batch.organizationId)}</td>
              <td className="number">{countText(batch.records)}</td>
              <td>{batch.step === "read" ? "read first" : "sent"}</td>
              <td>{batch.relay}</td>
              <td>
                <Time at={batch.claimedAt} />
              </td>
              <td>
                {batch.sentAt
                  ? durationText((Date.parse(batch.sentAt) - Date.parse(batch.claimedAt)) / 1000)
                  : "not sent"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <More query={list} />
    </TableScroll>
  );
}
