import { createContext, useContext } from "react";
import type { Me } from "../api/types";
import { sentence } from "../plan/status";

const MeContext = createContext<Me | null>(null);

export const MeProvider = MeContext.Provider;

/** The user, and what they may do where. */
export function useMe(): Me {
  const me = useContext(MeContext);
  if (!me) throw new Error("there is no MeProvider above this component");
  return me;
}

/** The code of an organization by its id. */
export function useCodeOf(): (organizationId: string | null | undefined) => string {
  const { organizations } = useMe();
  return (id) => organizations.find((organization) => organization.organizationId === id)?.code ?? id ?? "";
}

const NAMES: Record<string, string> = {
  perm_Sync: "to sync",
  perm_SaveDraft: "to save drafts",
  perm_EditForecast: "to edit forecasts",
  perm_EditActuals: "to edit actuals",
  perm_ManageSettings: "to manage settings",
  perm_Export: "to export",
  perm_ConfigureAlerts: "to configure alerts",
  perm_ViewFinancials: "to see prices",
};

/** Says that a permission is missing. */
export function needs(permission: string): string {
  return `You need the permission ${NAMES[permission] ?? permission} in this organization`;
}

/** Why the user may not do something in an organization (in any, if none is given); undefined: they may. */
export function useMay(): (permission: string, organizationId?: string | null) => string | undefined {
  const me = useMe();
  return (permission, organizationId) => {
    if (me.readOnly) return sentence(me.readOnlyReason ?? "nothing can be edited here now");
    const among = organizationId
      ? me.organizations.filter((organization) => organization.organizationId === organizationId)
      : me.organizations;
    if (among.some(({ permissions }) => permissions.includes(permission))) return undefined;
    return needs(permission);
  };
}
