import { useQuery } from "@tanstack/react-query";
import { reading, useApi } from "../api/context";
import { useSyncStatusQuery } from "../frame/counts";
import { useMe } from "../frame/me";
import { Organizations } from "../overview/Organizations";
import { Answered } from "../widgets/Answered";
import { Time } from "../widgets/Time";

const PERMISSIONS: Record<string, string> = {
  perm_Read: "read",
  perm_EditForecast: "edit forecasts",
  perm_EditActuals: "edit actuals",
  perm_Delete: "delete",
  perm_SaveDraft: "save drafts",
  perm_Sync: "sync",
  perm_ViewFinancials: "see prices",
  perm_ManageSettings: "manage settings",
  perm_ConfigureAlerts: "configure alerts",
  perm_Export: "export",
};

/** Whether a paused organization has requests whose outcome is open: maintenance of PEMS waits until it has none. */
function InFlight({ organizationId }: { organizationId: string }) {
  const state = useQuery({
    ...reading(useApi(), "/api/pems/drained", { query: { organizationId } }),
    refetchInterval: 5_000,
  });
  if (!state.data) return null;
  return (
    <span className="block text-secondary">
      {state.data.drained ? "Nothing is in flight" : "Requests are in flight"}
    </span>
  );
}

/** The organizations: their state, why they are paused or held, and what the user may do in them. */
export function OrganizationList() {
  const me = useMe();
  const status = useSyncStatusQuery();
  return (
    <div className="flex flex-col gap-4 pb-6">
      <Answered query={status}>{(data) => <Organizations status={data} />}</Answered>
      <section aria-label="What you may do" tabIndex={0} className="panel mx-4 overflow-x-auto">
        <table className="data-table">
          <thead>
            <tr>
              <th scope="col">Organization</th>
              <th scope="col">Sending</th>
              <th scope="col">You may</th>
            </tr>
          </thead>
          <tbody>
            {me.organizations.map((organization) => (
              <tr key={organization.organizationId}>
                <td>{organization.code ?? organization.organizationId}</td>
                <td>
                  {organization.held ? (
                    "Held: PEMS refused the credentials"
                  ) : organization.paused ? (
                    <>
                      Paused{organization.pauseReason ? `: ${organization.pauseReason}` : ""}
                      {organization.pausedUntil && (
                        <>
                          , goes on <Time at={organization.pausedUntil} />
                        </>
                      )}
                      <InFlight organizationId={organization.organizationId} />
                    </>
                  ) : organization.maySend ? (
                    "Changes are sent"
                  ) : (
                    "Switched off in the application"
                  )}
                </td>
                <td>
                  {organization.permissions
                    .filter((permission) => permission in PERMISSIONS)
                    .map((permission) => PERMISSIONS[permission])
                    .join(", ")}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}
