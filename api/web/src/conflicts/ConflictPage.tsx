import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { reading, useApi } from "../api/context";
import type { Conflict } from "../api/types";
import { useCodeOf, useMe } from "../frame/me";
import { useView } from "../frame/view";
import { sentence } from "../plan/status";
import { Answered, Empty } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { Time } from "../widgets/Time";
import { Unresolved } from "./Unresolved";
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
  const me = useMe();
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
  const open = (conflictId: string) =>
    void navigate({ to: "/conflicts/$conflictId", params: { conflictId }, search: view as never });
  const goOn = () => (nextId ? open(nextId) : void navigate({ to: "/conflicts", search: view as never }));
  const resolution = useResolution(conflictId, { onResolved: goOn, onReopened: () => open(conflictId) });
  const { query, conflict } = resolution;

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
              <Unresolved conflict={data} resolution={resolution} onNext={nextId ? goOn : undefined} />
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
