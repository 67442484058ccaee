import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { reading, useApi } from "../api/context";
import type { Failure } from "../api/types";
import { useCodeOf } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { SavedViews } from "../lists/SavedViews";
import { countText } from "../plan/count";
import { codeText } from "../plan/status";
import { Answered, Empty } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { Time } from "../widgets/Time";
import { CaseDialog } from "./CaseDialog";
import { DeadLetters } from "./DeadLetters";

const STATES: Record<string, [label: string, tone: string]> = {
  open: ["Open", "text-failed"],
  looking: ["Someone looks into it", "text-attention"],
  known: ["Known", "text-secondary"],
  fixed: ["Fixed", "text-good"],
};
const TRENDS = { up: "more than the hour before", down: "fewer than the hour before", steady: "as the hour before" };

/** Failures by their cause, each with note, owner and state; and the changes that failed for good. */
export function FailuresPage() {
  const api = useApi();
  const organization = useOrganization();
  const [view, change] = useView();
  const query = useQuery(
    reading(api, "/api/pems/failures", { query: { organizationId: organization?.organizationId } }),
  );
  const key = (failure: Failure) => `${failure.organizationId}/${failure.code}`;
  return (
    <Page title="Failures" aside={<SavedViews page="failures" />}>
      <Answered query={query}>
        {({ failures }) => {
          const chosen = failures.find((failure) => key(failure) === view.cause);
          if (failures.length === 0 && !view.open) {
            return (
              <Empty title="Nothing has failed">
                A change that PEMS refuses, or whose tries are used up, waits here for a decision.
              </Empty>
            );
          }
          return (
            <div className="flex flex-col gap-4">
              <ul aria-label="Failures by cause" className="mx-4 flex flex-col gap-2">
                {failures.map((failure) => (
                  <Case
                    key={key(failure)}
                    failure={failure}
                    isChosen={failure === chosen}
                    onChoose={() =>
                      change({ cause: failure === chosen ? undefined : key(failure), open: undefined }, true)
                    }
                  />
                ))}
              </ul>
              <DeadLetters
                organizationId={chosen?.organizationId ?? organization?.organizationId}
                code={chosen?.code}
              />
            </div>
          );
        }}
      </Answered>
    </Page>
  );
}

function Case({ failure, isChosen, onChoose }: { failure: Failure; isChosen: boolean; onChoose: () => void }) {
  const codeOf = useCodeOf();
  const [isNoting, setNoting] = useState(false);
  const [label, tone] = STATES[failure.state] ?? [failure.state, ""];
  return (
    <li className={`panel flex flex-wrap items-start gap-x-6 gap-y-2 p-3 ${isChosen ? "ring-2 ring-link" : ""}`}>
      <div className="min-w-64 grow basis-80">
        <p className="flex flex-wrap items-center gap-2">
          <Icon name="failed" size={15} className="text-failed" />
          <strong className="font-medium">{codeText(failure.code)}</strong>
          <span className="text-secondary">{codeOf(failure.organizationId)}</span>
          <span className={tone}>{label}</span>
          {failure.owner && <span className="text-secondary">owner {failure.owner}</span>}
        </p>
        <p>{failure.meaning}.</p>
        <p className="text-secondary">What to do: {failure.action}.</p>
        {failure.note && (
          <p className="mt-1 border-l-2 border-attention-line pl-2 break-words whitespace-pre-wrap">{failure.note}</p>
        )}
      </div>
      <dl className="grid grid-cols-[auto_auto] gap-x-4 text-[13px]">
        <dt className="text-secondary">Failed for good</dt>
        <dd className="text-right font-medium">{countText(failure.openDeadLetters)}</dd>
        <dt className="text-secondary">Being tried again</dt>
        <dd className="text-right">{countText(failure.failingAttempts)}</dd>
        <dt className="text-secondary">Last hour</dt>
        <dd className="text-right" title={TRENDS[failure.trend as keyof typeof TRENDS]}>
          {countText(failure.lastHour)} {failure.trend === "up" ? "↑" : failure.trend === "down" ? "↓" : "→"}
          <span className="sr-only">, {TRENDS[failure.trend as keyof typeof TRENDS]}</span>
        </dd>
        <dt className="text-secondary">Last seen</dt>
        <dd className="text-right">{failure.lastSeen ? <Time at={failure.lastSeen} /> : "—"}</dd>
      </dl>
      <div className="flex gap-1">
        <Button kind="text" onClick={() => setNoting(true)}>
          Note…
        </Button>
        <Button aria-pressed={isChosen} onClick={onChoose}>
          {isChosen ? "Show all" : "Show these"}
        </Button>
      </div>
      {isNoting && <CaseDialog failure={failure} states={STATES} onClose={() => setNoting(false)} />}
    </li>
  );
}
