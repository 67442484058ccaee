import { Rollback } from "../../src/history/Rollback";
import { Dialog } from "../../src/widgets/Dialog";

type Props = {
  jobId: string;
  /** Only this batch of the job. */
  batchId?: string;
  onClose: () => void;
  /** The rollback has begun; it is a job itself. */
  onStarted?: (jobId: string) => void;
};

/** What rolling a job back would do, record by record, in a window; and its start, with a reason. */
export function RollbackModal({ jobId, batchId, onClose, onStarted }: Props) {
  return (
    <Dialog wide title={`Roll back job ${jobId}`} onClose={onClose}>
      <Rollback
        jobId={jobId}
        batchId={batchId}
        onCancel={onClose}
        onDone={(started) => {
          onStarted?.(started);
          onClose();
        }}
      />
    </Dialog>
  );
}
