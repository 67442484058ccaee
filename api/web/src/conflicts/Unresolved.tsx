import type { Conflict } from "../api/types";
import { useMay } from "../frame/me";
import { fieldOf } from "../plan/fields";
import { Failed } from "../widgets/Answered";
import { Resolver } from "./Resolver";
import type { Resolution } from "./useResolution";

type Props = { conflict: Conflict; resolution: Resolution; onNext?: () => void; inDialog?: boolean };

/** An open conflict: what moved while it was shown, why it was not resolved, and its resolver. */
export function Unresolved({ conflict, resolution, onNext, inDialog }: Props) {
  const may = useMay();
  const { picks, setPicks, plan, check, record, moved, isRefused, pending, error, resolve } = resolution;
  return (
    <>
      {(moved.length > 0 || (isRefused && !pending)) && (
        <p
          role="alert"
          className={`rounded border border-attention-line bg-attention-back px-3 py-2 text-attention ${inDialog ? "" : "mx-4 mb-2"}`}
        >
          {moved.length > 0
            ? `The record moved while this ${inDialog ? "window" : "page"} was open: ${moved.map((name) => fieldOf(name).label).join(", ")}. What is below is the new state; look at it and choose again.`
            : "It was not resolved: the record moved meanwhile, in no value that is shown here. Resolve it again if your choice still holds."}
        </p>
      )}
      {error !== undefined && <Failed title="It was not resolved" error={error} />}
      {plan && (
        <Resolver
          conflict={conflict}
          picks={picks}
          onPicks={setPicks}
          plan={plan}
          check={check}
          record={record}
          moved={moved}
          locked={may("perm_Sync", conflict.organizationId)}
          pending={pending}
          onResolve={() => void resolve()}
          onNext={onNext}
          inDialog={inDialog}
        />
      )}
    </>
  );
}
