import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, reading, useApi } from "../api/context";
import { errorLines } from "../api/problem";
import type { Setting } from "../api/types";
import { useCodeOf, useMay, useMe } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { Answered, Empty } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Dialog } from "../widgets/Dialog";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";
import { tell } from "../widgets/toasts";

/** The settings with their meaning; what differs from the default comes first to the eye. */
export function Settings() {
  const query = useQuery(reading(useApi(), "/api/pems/settings"));
  const organization = useOrganization();
  const codeOf = useCodeOf();
  const [view, change] = useView();
  const [edited, setEdited] = useState<Setting | null>(null);
  const words = (view.find ?? "").toLowerCase();
  return (
    <>
      <div className="flex flex-wrap gap-2 px-4 pb-2">
        <input
          className="field w-72"
          type="search"
          data-search=""
          aria-label="Find a setting"
          placeholder="Find a setting"
          value={view.find ?? ""}
          onChange={(event) => change({ find: event.target.value })}
        />
      </div>
      <Answered query={query} rows={12}>
        {({ settings }) => {
          const shown = settings.filter(
            ({ name, description, organizationId }) =>
              (!words || `${name} ${description}`.toLowerCase().includes(words)) &&
              (!organization || !organizationId || organizationId === organization.organizationId),
          );
          if (shown.length === 0) return <Empty title="No setting matches" />;
          return (
            <TableScroll label="Settings" className="border-t border-line">
              <table className="data-table">
                <thead>
                  <tr>
                    <th scope="col">Setting</th>
                    <th scope="col">For</th>
                    <th scope="col">Value</th>
                    <th scope="col">Default</th>
                    <th scope="col">Meaning</th>
                    <th scope="col">Changed</th>
                    <th scope="col">
                      <span className="sr-only">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((setting) => (
                    <tr key={`${setting.name}/${setting.organizationId}`}>
                      <td className="font-mono text-xs">{setting.name}</td>
                      <td>{setting.organizationId ? codeOf(setting.organizationId) : "all"}</td>
                      <td className={setting.value === setting.defaultValue ? "" : "font-medium text-attention"}>
                        {setting.value || "—"}
                      </td>
                      <td className="text-secondary">{setting.defaultValue || "—"}</td>
                      <td className="max-w-xl min-w-64 py-1">{setting.description}</td>
                      <td>
                        {setting.changedAt ? (
                          <>
                            {setting.changedBy} <Time at={setting.changedAt} />
                          </>
                        ) : (
                          "—"
                        )}
                      </td>
                      <td>
                        <Button kind="text" aria-label={`Change ${setting.name}`} onClick={() => setEdited(setting)}>
                          Change…
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </TableScroll>
          );
        }}
      </Answered>
      {edited && <SettingDialog setting={edited} onClose={() => setEdited(null)} />}
    </>
  );
}

/** Changes a setting, for all or for one organization, or resets it. */
function SettingDialog({ setting, onClose }: { setting: Setting; onClose: () => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const me = useMe();
  const may = useMay();
  const [value, setValue] = useState(setting.value);
  const [scope, setScope] = useState(setting.organizationId ?? "");
  const [failure, setFailure] = useState<string[]>();
  const locked = scope
    ? may("perm_ManageSettings", scope)
    : me.role === "admin"
      ? undefined
      : "Only an administrator changes what holds for all organizations";
  const save = async (next: string | undefined) => {
    try {
      const { value: now } = await api.send("put", "/api/pems/settings/{name}", {
        path: { name: setting.name },
        body: { organizationId: scope || undefined, value: next },
      });
      void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/settings"] });
      void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/me"] });
      tell(`${setting.name} is ${now || "empty"} now`, { lines: ["Relays take it up at their next poll"] });
      onClose();
    } catch (error) {
      setFailure(errorLines(error));
    }
  };
  return (
    <Dialog
      title={setting.name}
      onClose={onClose}
      actions={
        <>
          <Button reason={locked} onClick={() => void save(undefined)}>
            Reset to the default
          </Button>
          <span className="grow" />
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            reason={
              locked ??
              (value === setting.value && scope === (setting.organizationId ?? "") ? "Nothing is changed" : undefined)
            }
            onClick={() => void save(value)}
          >
            Save
          </Button>
        </>
      }
    >
      <p>{setting.description}.</p>
      <Choice
        label="For"
        value={scope}
        options={[
          ["", "all organizations"] as [string, string],
          ...me.organizations.map(({ organizationId, code }): [string, string] => [
            organizationId,
            code ?? organizationId,
          ]),
        ]}
        onChange={setScope}
      />
      <label className="flex flex-col gap-1">
        Value
        <input className="field" value={value} onChange={(event) => setValue(event.target.value)} />
        <span className="text-xs text-secondary">Default: {setting.defaultValue || "empty"}</span>
      </label>
      {failure && (
        <div role="alert" className="rounded border border-failed bg-failed-back p-2">
          {failure.map((line) => (
            <p key={line}>{line}</p>
          ))}
        </div>
      )}
    </Dialog>
  );
}
