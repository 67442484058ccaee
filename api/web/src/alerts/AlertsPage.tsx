import { useMe } from "../frame/me";
import { TabButtons, type TabTable, useTab } from "../frame/Tabs";
import { Page } from "../widgets/Page";
import { AlertList } from "./AlertList";
import { Channels } from "./Channels";
import { Rules } from "./Rules";

/** Alerts, the rules that raise them, and where they are sent. */
export function AlertsPage() {
  const me = useMe();
  const tabs: TabTable = {
    alerts: ["Alerts", AlertList],
    rules: ["Rules", Rules],
    // Channels are those of the whole fleet.
    ...(me.role === "admin" && { channels: ["Channels", Channels] as TabTable[string] }),
  };
  const { name, Shown } = useTab(tabs);
  return (
    <Page title="Alerts" aside={<TabButtons tabs={tabs} chosen={name} />}>
      <Shown />
    </Page>
  );
}
