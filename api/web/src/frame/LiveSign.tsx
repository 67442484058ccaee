import { useLiveState } from "../live/LiveProvider";
import { clockText, durationText, useNow } from "../widgets/clock";
import { Icon } from "../widgets/icons";

/** Whether what is on the screen is current: "live", how far behind, or of when the numbers are. */
export function LiveSign() {
  const state = useLiveState();
  const now = useNow();
  const [text, colour] =
    state.kind === "live"
      ? ["Live", "text-good"]
      : state.kind === "connecting"
        ? ["Connecting", "text-secondary"]
        : state.kind === "behind"
          ? [`Behind by ${durationText((now - state.since) / 1000)}`, "text-attention"]
          : [`Connection lost, numbers of ${clockText(state.since)}`, "text-failed"];
  return (
    <span role="status" data-live={state.kind} className={`inline-flex items-center gap-1.5 text-xs ${colour}`}>
      {state.kind === "lost" ? (
        <Icon name="warning" size={14} />
      ) : (
        <span aria-hidden="true" className="size-2 rounded-full bg-current" />
      )}
      {text}
    </span>
  );
}
