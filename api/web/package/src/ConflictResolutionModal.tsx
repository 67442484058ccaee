import { Unresolved } from "../../src/conflicts/Unresolved";
import { useResolution } from "../../src/conflicts/useResolution";
import { sentence } from "../../src/plan/status";
import { Answered, Empty } from "../../src/widgets/Answered";
import { Dialog } from "../../src/widgets/Dialog";

type Props = { conflictId: string; onClose: () => void; onResolved?: (jobId: string) => void };

/** A conflict in a window: base, yours and PEMS side by side, by keyboard alone if wanted. */
export function ConflictResolutionModal({ conflictId, onClose, onResolved }: Props) {
  const resolution = useResolution(conflictId, {
    onResolved: (jobId) => {
      onResolved?.(jobId);
      onClose();
    },
  });
  const { query, conflict } = resolution;
  return (
    <Dialog wide title={conflict ? `Conflict of record ${conflict.pfaId}` : "Conflict"} onClose={onClose}>
      <Answered query={query} rows={4}>
        {({ data }) =>
          data.status === "unresolved" ? (
            <>
              <p className="text-secondary">{sentence(data.meaning ?? data.message ?? "")}.</p>
              <Unresolved inDialog conflict={data} resolution={resolution} />
            </>
          ) : (
            <Empty title="This conflict is resolved" />
          )
        }
      </Answered>
    </Dialog>
  );
}
