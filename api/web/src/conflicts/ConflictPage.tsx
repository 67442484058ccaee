import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { reading, useApi } from "../api/context";
import type { Conflict, WholeRecord } from "../api/types";
import { useCodeOf, useMay, useMe } from "../frame/me";
import { useView } from "../frame/view";
import { fieldOf } from "../plan/fields";
import { sentence } from "../plan/status";
import { Answered, Empty, Failed } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { Time } from "../widgets/Time";
import { tell, tellError } from "../widgets/toasts";
import type { Plan } from "./merge";
import { Resolver } from "./Resolver";
import { useResolution } from "./useResolution";

/** One conflict, to be resolved. */
export function ConflictPage() {
  const { conflictId } = useParams({ strict: false }) as { conflictId: string };
  return <ConflictView key={conflictId} conflictId={conflictId} />;
}

function ConflictView({ conflictId }: { conflictId: string }) {
  const api = useApi();
  const navigate = useNavigate();
  const [view] = useView();
  const codeOf = useCodeOf();
  const may = useMay();
  const me = useMe();
  const { query, conflict, picks, setPicks, moved, pending, resolve, undo } = useResolution(conflictId);
  const [error, setError] = useState<unknown>();
  const record = useQuery({
    ...reading(api, "/api/pfa-data/records/{pfaId}", {
      path: { pfaId: conflict?.pfaId ?? "" },
      query: { organizationId: conflict?.organizationId ?? "" },
    }),
    enabled: conflict !== undefined,
  });
  const next = useQuery(
    reading(api, "/api/pems/conflicts", {
      query: {
        organizationId: view.org,
        field: view.field,
        author: view.author,
        code: view.code,
        after: conflictId,
        limit: 1,
      },
    }),
  );
  const nextId = next.data?.conflicts[0]?.conflictId;
  const goOn = () =>
    void navigate(
      nextId
        ? { to: "/conflicts/$conflictId", params: { conflictId: nextId }, search: view as never }
        : { to: "/conflicts", search: view as never },
    );

  const perform = async (plan: Plan) => {
    setError(undefined);
    const outcome = await resolve(plan);
    if (outcome.kind === "failed") return setError(outcome.error);
    if (outcome.kind === "moved") return;
    const restore = async () => {
      try {
        if (await undo(outcome.jobId))
          void navigate({ to: "/conflicts/$conflictId", params: { conflictId }, search: view as never });
        else
          tell("It was sent already, and stays resolved", {
            tone: "info",
            lines: ["Roll it back from the history instead."],
          });
      } catch (failure) {
        tellError("It could not be undone", failure);
      }
    };
    tell(`Conflict of record ${conflict?.pfaId} is resolved`, {
      lines: [
        outcome.sends
          ? `${outcome.sends} ${outcome.sends === 1 ? "field is" : "fields are"} sent to PEMS`
          : "Nothing is sent",
      ],
      action: { label: "Undo", run: () => void restore() },
    });
    goOn();
  };

  return (
    <Page
      title={
        <span className="flex items-center gap-2">
          <Link to="/conflicts" search={view as never} className="link text-sm font-normal">
            Conflicts
          </Link>
          <Icon name="right" size={14} className="text-secondary" />
          {conflict ? `Record ${conflict.pfaId}` : `Conflict ${conflictId}`}
        </span>
      }
      aside={conflict && <span className="text-secondary">{codeOf(conflict.organizationId)}</span>}
    >
      <Answered query={query} rows={5}>
        {({ data }) =>
          data.status === "unresolved" ? (
            <>
              <Story conflict={data} author={data.author === me.userId ? `${me.userName} (you)` : data.authorName} />
              {moved.length > 0 && (
                <p
                  role="alert"
                  className="mx-4 mb-2 rounded border border-attention-line bg-attention-back px-3 py-2 text-attention"
                >
                  The record moved while this page was open: {moved.map((name) => fieldOf(name).label).join(", ")}. What
                  is below is the new state; look at it and choose again.
                </p>
              )}
              {error !== undefined && <Failed title="It was not resolved" error={error} />}
              <Resolver
                conflict={data}
                picks={picks}
                onPicks={setPicks}
                record={record.data?.data as WholeRecord["data"] | undefined}
                moved={moved}
                locked={may("perm_Sync", data.organizationId)}
                pending={pending}
                onResolve={perform}
                onNext={nextId ? goOn : undefined}
              />
            </>
          ) : (
            <Empty
              title={
                data.status === "resolved_auto" ? "A rule has resolved this conflict" : "This conflict is resolved"
              }
            >
              <p>
                {data.resolution
                  ? `By ${data.resolution.replace("_", " ")}${data.resolvedByName ? `, ${data.resolvedByName}` : ""}.`
                  : "The edit was withdrawn or committed again."}
              </p>
              <p className="mt-2 flex justify-center gap-2">
                <Button onClick={goOn}>{nextId ? "Next conflict" : "To the list"}</Button>
              </p>
            </Empty>
          )
        }
      </Answered>
    </Page>
  );
}

const DETECTED: Record<string, string> = {
  commit: "when it was committed",
  claim: "before it was sent",
  pems: "by PEMS",
};

function Story({ conflict, author }: { conflict: Conflict; author: string }) {
  return (
    <div className="flex flex-col gap-0.5 px-4 pb-3">
      <p>
        <strong className="font-medium">{author}</strong> edited record{" "}
        <Link
          to="/records/$pfaId"
          params={{ pfaId: conflict.pfaId }}
          search={{ org: conflict.organizationId } as never}
          className="link"
        >
          {conflict.pfaId}
        </Link>
        ; the conflict was found {DETECTED[conflict.detected] ?? conflict.detected} <Time at={conflict.createdAt} />.{" "}
        {sentence(conflict.meaning ?? conflict.message ?? "")}.
      </p>
      {conflict.version != null && (
        <p className="text-secondary">
          PEMS is at version {conflict.version} of the record; the conflict was found at version{" "}
          {conflict.detectedVersion}.
        </p>
      )}
    </div>
  );
}
