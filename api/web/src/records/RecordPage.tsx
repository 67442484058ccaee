import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { reading, useApi } from "../api/context";
import type { WholeRecord } from "../api/types";
import { useOneOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { amountText, differenceText } from "../plan/amount";
import { FIELDS, fieldOf } from "../plan/fields";
import { leading, STATUSES, type Status, statusOf } from "../plan/status";
import { valueText } from "../plan/value";
import { Answered, Empty } from "../widgets/Answered";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { StatusMark } from "../widgets/StatusMark";
import { Time } from "../widgets/Time";
import { Timeline } from "./Timeline";

/** One record: its values, everything under way for it, and its story. */
export function RecordPage() {
  const { pfaId } = useParams({ strict: false }) as { pfaId: string };
  const organization = useOneOrganization();
  const api = useApi();
  const [{ org }] = useView();
  const query = useQuery({
    ...reading(api, "/api/pfa-data/records/{pfaId}", {
      path: { pfaId },
      query: { organizationId: organization?.organizationId ?? "" },
    }),
    enabled: organization !== undefined,
  });
  if (!organization) return <Empty title="There is no organization that you may read" />;
  return (
    <Page
      title={
        <span className="flex items-center gap-2">
          <Link to="/records" search={{ org } as never} className="link text-sm font-normal">
            Records
          </Link>
          <Icon name="right" size={14} className="text-secondary" />
          {pfaId}
          <span className="text-sm font-normal text-secondary">{organization.code}</span>
        </span>
      }
    >
      <Answered query={query} rows={12}>
        {(data) => {
          const record = data as unknown as WholeRecord;
          return (
            <div className="grid gap-4 px-4 pb-6 lg:grid-cols-[minmax(24rem,32rem)_1fr]">
              <div className="flex flex-col gap-4">
                <UnderWay record={record} />
                <FieldList record={record} />
              </div>
              <Timeline pfaId={pfaId} organizationId={organization.organizationId} version={record.version} />
            </div>
          );
        }}
      </Answered>
    </Page>
  );
}

function UnderWay({ record }: { record: WholeRecord }) {
  const [{ org }] = useView();
  const names = (fields: string[]) => fields.map((name) => fieldOf(name).label).join(", ");
  return (
    <section aria-label="Status" className="panel flex flex-col gap-2 p-3">
      <p className="flex flex-wrap items-center gap-x-3">
        <StatusMark status={leading(record.states)} also={record.states as Status[]} />
        <span className="text-secondary">{STATUSES[leading(record.states)].meaning}</span>
      </p>
      {record.conflictId && (
        <Link
          to="/conflicts/$conflictId"
          params={{ conflictId: record.conflictId }}
          search={{ org } as never}
          className="link"
        >
          Resolve its conflict
        </Link>
      )}
      {record.deadLetterId && (
        <Link to="/failures" search={{ org, open: record.deadLetterId } as never} className="link">
          Decide about its failure
        </Link>
      )}
      {record.queue.map((entry) => (
        <p key={entry.queueId}>
          <StatusMark status={statusOf(entry.status)} /> {names(Object.keys(entry.changes ?? {}))}, by{" "}
          {entry.authorName}
          {entry.retryCount ? `, try ${entry.retryCount + 1}` : ""}
          {entry.scheduledAt && Date.parse(entry.scheduledAt) > Date.now() && (
            <>
              , next try <Time at={entry.scheduledAt} />
            </>
          )}
          {entry.lastError && <span className="block text-failed">{entry.lastError}</span>}
        </p>
      ))}
      {record.draft && (
        <p>
          <StatusMark status="draft" /> {names(Object.keys(record.draft.delta))}, saved{" "}
          <Time at={record.draft.savedAt} />
          {record.draft.reason && <span className="block text-secondary">{record.draft.reason}</span>}
          {record.draft.errors?.map((fault) => (
            <span key={fault.code + fault.field} className="block text-failed">
              {fault.message}
            </span>
          ))}
        </p>
      )}
      {record.others.map((other) => (
        <p key={other.modificationId}>
          <StatusMark status={statusOf(other.state)} /> {names(other.fields)}, by {other.userName}{" "}
          <Time at={other.changedAt} />
        </p>
      ))}
      <p className="text-secondary">
        Version {record.version}
        {record.syncedAt && (
          <>
            , read from PEMS <Time at={record.syncedAt} />
          </>
        )}
      </p>
    </section>
  );
}

function FieldList({ record }: { record: WholeRecord }) {
  const merged = record.merged ?? record.data;
  const known = FIELDS.map(({ name }) => name);
  const names = [...known, ...Object.keys(merged).filter((name) => !known.includes(name))];
  const cost = record.cost ?? null;
  const after = record.mergedCost ?? null;
  return (
    <section aria-label="Values" className="panel overflow-hidden">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">PEMS</th>
            <th scope="col">With your edits</th>
          </tr>
        </thead>
        <tbody>
          {names
            .filter((name) => name in merged)
            .map((name) => {
              const field = fieldOf(name);
              const isChanged = record.changedFields.includes(name);
              return (
                <tr key={name} className={isChanged ? "bg-chosen" : ""}>
                  <th scope="row" className="static! bg-transparent! shadow-none!">
                    {field.label}
                  </th>
                  <td className="break-words">{valueText(field, record.data[name])}</td>
                  <td className="break-words">
                    {isChanged ? <span className="font-medium">{valueText(field, merged[name])}</span> : ""}
                  </td>
                </tr>
              );
            })}
          {cost !== null && (
            <tr>
              <th scope="row" className="static! bg-transparent! shadow-none!">
                Forecast cost
              </th>
              <td>{amountText(cost)}</td>
              <td>
                {after !== null && after !== cost ? `${amountText(after)} (${differenceText(after - cost)})` : ""}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}
