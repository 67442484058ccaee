import { useMe } from "../frame/me";
import { useView } from "../frame/view";
import { Button } from "../widgets/Button";
import { Page } from "../widgets/Page";
import { Credentials } from "./Credentials";
import { OrganizationList } from "./OrganizationList";
import { Relays } from "./Relays";
import { Settings } from "./Settings";
import { Systems } from "./Systems";

const TABS: Record<string, [label: string, component: () => React.ReactNode]> = {
  organizations: ["Organizations", OrganizationList],
  settings: ["Settings", Settings],
  systems: ["PEMS", Systems],
  credentials: ["Credentials", Credentials],
  relays: ["Relays", Relays],
};

/** What administrators look at and change: organizations, settings, PEMS, credentials and relays. */
export function AdministrationPage() {
  const [view, change] = useView();
  const me = useMe();
  const tab = view.tab && view.tab in TABS ? view.tab : "organizations";
  const Shown = TABS[tab]?.[1] ?? OrganizationList;
  return (
    <Page
      title="Administration"
      aside={
        <div className="flex flex-wrap gap-1">
          {Object.entries(TABS).map(([name, [label]]) => (
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
      <p className="px-4 pb-2 text-secondary">
        You are {me.userName}
        {me.role === "admin" ? ", administrator of all organizations" : ""}. {me.readOnly ? me.readOnlyReason : ""}
      </p>
      <Shown />
    </Page>
  );
}
