import type { MyOrganization } from "../api/types";
import { useMe } from "./me";
import { useView } from "./view";

/** The organization that the address names; undefined: all that the user may read. */
export function useOrganization(): MyOrganization | undefined {
  const { organizations } = useMe();
  const [{ org }] = useView();
  return organizations.find(
    ({ code, organizationId }) => org !== undefined && (code === org || organizationId === org),
  );
}

/** The organization of a page that needs one: the chosen one, else the first. */
export function useOneOrganization(): MyOrganization | undefined {
  const chosen = useOrganization();
  const { organizations } = useMe();
  return chosen ?? organizations[0];
}
