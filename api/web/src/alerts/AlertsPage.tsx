import type { ReactNode } from "react";
import { useMe } from "../frame/me";
import { useView } from "../frame/view";
import { Button } from "../widgets/Button";
import { Page } from "../widgets/Page";
import { AlertList } from "./AlertList";
import { Channels } from "./Channels";
import { Rules } from "./Rules";

/** Alerts, the rules that raise them, and where they are sent. */
export function AlertsPage() {
  const [view, change] = useView();
  const me = useMe();
  const tabs: Record<string, [label: string, component: () => ReactNode]> = {
    alerts: ["Alerts", AlertList],
    rules: ["Rules", Rules],
    // Channels are those of the whole fleet.
    ...(me.role === "admin" && { channels: ["Channels", Channels] as [string, () => ReactNode] }),
  };
  const tab = view.tab && view.tab in tabs ? view.tab : "alerts";
  const Shown = tabs[tab]?.[1] ?? AlertList;
  return (
    <Page
      title="Alerts"
      aside={
        <div className="flex gap-1">
          {Object.entries(tabs).map(([name, [label]]) => (
            <Button
              key={name}
              kind={name === tab ? "plain" : "quiet"}
              aria-pressed={name === tab}
              onClick={() => change({ tab: name }, true)}
            >
              {label}
            </Button>
          ))}
        </div>
      }
    >
      <Shown />
    </Page>
  );
}
