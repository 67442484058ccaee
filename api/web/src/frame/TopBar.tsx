import { NotificationBell } from "../notifications/NotificationBell";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Icon } from "../widgets/icons";
import { InstanceName } from "./InstanceName";
import { KEYS, keyText } from "./keys";
import { LiveSign } from "./LiveSign";
import { useMe } from "./me";
import { useOrganization } from "./organization";
import { RunningJobs } from "./RunningJobs";
import { switchTheme, useTheme } from "./theme";
import { useView } from "./view";

type Props = { onPalette: () => void; onHelp: () => void; onSignOut: () => void };

/** Which installation and organization this is, whether it is live, and what belongs to the user. */
export function TopBar({ onPalette, onHelp, onSignOut }: Props) {
  const me = useMe();
  const theme = useTheme();
  const organization = useOrganization();
  const [, change] = useView();
  return (
    <header className="flex min-h-12 shrink-0 flex-wrap items-center gap-x-3 gap-y-1 border-b border-line bg-panel px-3 py-1">
      <span className="flex items-center gap-2 font-semibold">
        <img src="/icon.svg" alt="" width={20} height={20} />
        <span className="hidden sm:inline">pfa-sync</span>
      </span>
      <InstanceName instance={me.instance} />
      <Choice
        bare
        label="Organization"
        className="max-w-32 sm:max-w-44"
        value={organization?.code ?? organization?.organizationId ?? ""}
        options={[
          ["", "All organizations"] as [string, string],
          ...me.organizations.map(({ code, organizationId }): [string, string] => [
            code ?? organizationId,
            code ?? organizationId,
          ]),
        ]}
        onChange={(org) => change({ org, after: undefined, open: undefined }, true)}
      />
      <LiveSign />
      <RunningJobs />
      {me.readOnly && (
        <span className="inline-flex items-center gap-1 text-xs text-attention" title={me.readOnlyReason ?? undefined}>
          <Icon name="held" size={14} /> Read-only
        </span>
      )}
      <span className="grow" />
      <NotificationBell />
      <Button
        kind="quiet"
        onClick={onPalette}
        aria-label="Search and commands"
        tip={`Search and commands (${keyText(KEYS.palette.keys)})`}
      >
        <Icon name="search" />
        <span className="key hidden lg:inline-block" aria-hidden="true">
          {keyText(KEYS.palette.keys)}
        </span>
      </Button>
      <Button
        kind="quiet"
        onClick={switchTheme}
        aria-label={theme === "dark" ? "Use light colours" : "Use dark colours"}
        tip={`${theme === "dark" ? "Light" : "Dark"} colours (t)`}
      >
        <Icon name={theme === "dark" ? "sun" : "moon"} />
      </Button>
      <Button kind="quiet" className="hidden! sm:inline-flex!" onClick={onHelp} aria-label="Keys" tip="Keys (?)">
        <Icon name="help" />
      </Button>
      <Button
        kind="quiet"
        onClick={onSignOut}
        tip={`${me.userName}${me.email ? `, ${me.email}` : ""}. Press to sign out.`}
        aria-label={`Sign out ${me.userName}`}
      >
        <Icon name="user" />
        <span className="hidden max-w-40 truncate lg:inline">{me.userName}</span>
      </Button>
    </header>
  );
}
