import { Icon } from "../widgets/icons";
import { JOB_ICONS, JOB_KINDS } from "./kinds";

/** What kind of job it is. */
export function JobKind({ kind }: { kind: string }) {
  return (
    <span className="inline-flex items-center gap-1.5 whitespace-nowrap">
      <Icon name={JOB_ICONS[kind] ?? "info"} size={14} className="text-secondary" />
      {JOB_KINDS[kind] ?? kind}
    </span>
  );
}
