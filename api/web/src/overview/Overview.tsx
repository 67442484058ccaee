import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { reading, useApi } from "../api/context";
import { useSyncStatusQuery } from "../frame/counts";
import { useMe } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { Answered, Empty } from "../widgets/Answered";
import { Choice } from "../widgets/Choice";
import { useNow } from "../widgets/clock";
import { Page } from "../widgets/Page";
import { Charts } from "./Charts";
import { Figures } from "./Figures";
import { lastOf, seriesOf } from "./figures";
import { HealthSentence } from "./HealthSentence";
import { Organizations } from "./Organizations";
import { Plant } from "./Plant";
import { PERIODS, periodOf } from "./periods";

/** Whether changes reach PEMS: in one sentence, in numbers, over time, and by organization. */
export function Overview() {
  const { organizations } = useMe();
  const status = useSyncStatusQuery();
  const [view, change] = useView();
  const period = periodOf(view.period);
  const kpis = useKpis(period);
  const age = useMemo(() => lastOf(seriesOf(kpis.data?.kpis ?? [], "queue_age", "longest")), [kpis.data]);
  if (organizations.length === 0) return <FirstRun />;
  return (
    <Page
      title="Overview"
      aside={
        <Choice
          label="Charts of the last"
          value={period}
          options={Object.entries(PERIODS).map(([name, { label }]) => [name, label])}
          onChange={(name) => change({ period: name })}
        />
      }
    >
      <Answered query={status} rows={10}>
        {(data) => (
          <div className="flex flex-col gap-4 pb-6">
            <HealthSentence status={data} />
            <Plant />
            <Figures status={data} oldest={age} />
            <Answered query={kpis} rows={5}>
              {({ kpis }) => <Charts kpis={kpis} milliseconds={PERIODS[period].milliseconds} />}
            </Answered>
            <Organizations status={data} />
          </div>
        )}
      </Answered>
    </Page>
  );
}

function useKpis(period: keyof typeof PERIODS) {
  const api = useApi();
  const organization = useOrganization();
  const now = useNow();
  const { milliseconds, step } = PERIODS[period];
  // A new period every minute, not at every tick of the clock.
  const end = Math.floor(now / 60_000) * 60_000;
  const startDate = new Date(end - milliseconds).toISOString();
  return useQuery({
    ...reading(api, "/api/pems/kpis", { query: { organizationId: organization?.organizationId, startDate, step } }),
    placeholderData: keepPreviousData,
  });
}

function FirstRun() {
  return (
    <Page title="Overview">
      <Empty title="No organization yet">
        <ol className="list-decimal text-left">
          <li>
            Let PFA Vanguard's users read an organization: <code>perm_Read</code> in <code>user_organizations</code>.
          </li>
          <li>
            Start the relay with the organization's credentials, and fill the mirror: <code>pfa-relay pull</code>.
          </li>
          <li>
            Resume sending: <code>select pfa_sync.resume()</code>. The first committed edit then reaches PEMS.
          </li>
        </ol>
      </Empty>
    </Page>
  );
}
