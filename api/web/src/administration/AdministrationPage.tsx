import { useMe } from "../frame/me";
import { TabButtons, type TabTable, useTab } from "../frame/Tabs";
import { Page } from "../widgets/Page";
import { Credentials } from "./Credentials";
import { OrganizationList } from "./OrganizationList";
import { Relays } from "./Relays";
import { Settings } from "./Settings";
import { Systems } from "./Systems";

const TABS: TabTable = {
  organizations: ["Organizations", OrganizationList],
  settings: ["Settings", Settings],
  systems: ["PEMS", Systems],
  credentials: ["Credentials", Credentials],
  relays: ["Relays", Relays],
};

/** What administrators look at and change: organizations, settings, PEMS, credentials and relays. */
export function AdministrationPage() {
  const me = useMe();
  const { name, Shown } = useTab(TABS);
  return (
    <Page title="Administration" aside={<TabButtons tabs={TABS} chosen={name} />}>
      <p className="px-4 pb-2 text-secondary">
        You are {me.userName}
        {me.role === "admin" ? ", administrator of all organizations" : ""}. {me.readOnly ? me.readOnlyReason : ""}
      </p>
      <Shown />
    </Page>
  );
}
