import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, useApi } from "../api/context";
import { errorLines } from "../api/problem";
import type { PemsSystem } from "../api/types";
import { useMe } from "../frame/me";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Confirm } from "../widgets/Confirm";
import { Dialog } from "../widgets/Dialog";
import { tell, tellError } from "../widgets/toasts";

function useRefresh() {
  const cache = useQueryClient();
  return () => {
    void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/systems"] });
    void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/credentials"] });
  };
}

/** Defines a PEMS, or changes its definition. */
export function DefineDialog({ system, onClose }: { system?: PemsSystem; onClose: () => void }) {
  const api = useApi();
  const refresh = useRefresh();
  const [name, setName] = useState(system?.pems ?? "");
  const [url, setUrl] = useState(system?.url ?? "");
  const [tenant, setTenant] = useState(system?.tenant ?? "");
  const [slot, setSlot] = useState(system?.slotInterval ?? "105 ms");
  const [batch, setBatch] = useState(String(system?.batchSize ?? 100));
  const [failure, setFailure] = useState<string[]>();
  const save = async () => {
    try {
      const body = {
        url: url.trim() || null,
        tenant: tenant.trim() || null,
        slotInterval: slot.trim() || null,
        batchSize: Number(batch) || null,
        dialect: system?.dialect ?? null,
        options: system?.options ?? null,
        requestTimeout: system?.requestTimeout ?? null,
      };
      await api.send("put", "/api/pems/systems/{pems}", { path: { pems: name.trim() }, body });
      tell(`PEMS ${name.trim()} is defined`, { lines: ["Its credentials are stored with pfa-relay credentials."] });
      refresh();
      onClose();
    } catch (error) {
      setFailure(errorLines(error));
    }
  };
  return (
    <Dialog
      title={system ? `Change PEMS ${system.pems}` : "Define a PEMS"}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" reason={name.trim() ? undefined : "Write a name"} onClick={() => void save()}>
            Save
          </Button>
        </>
      }
    >
      {(
        [
          ["Name", name, setName, "such as north"],
          ["Address", url, setUrl, "https://…, without /api/pems"],
          ["Tenant", tenant, setTenant, ""],
          ["Time between two requests", slot, setSlot, "105 ms"],
          ["Most records in a request", batch, setBatch, "1 to 100"],
        ] as const
      ).map(([label, value, set, hint]) => (
        <label key={label} className="flex flex-col gap-1">
          {label}
          <input
            className="field"
            value={value}
            placeholder={hint}
            readOnly={label === "Name" && system !== undefined}
            onChange={(event) => set(event.target.value)}
          />
        </label>
      ))}
      {failure?.map((line) => (
        <p key={line} role="alert" className="text-failed">
          {line}
        </p>
      ))}
    </Dialog>
  );
}

/** Gives an organization this PEMS. */
export function AssignDialog({ system, onClose }: { system: PemsSystem; onClose: () => void }) {
  const api = useApi();
  const me = useMe();
  const refresh = useRefresh();
  const others = me.organizations.filter(({ organizationId }) => !system.organizations.includes(organizationId));
  const [organizationId, setOrganizationId] = useState(others[0]?.organizationId ?? "");
  const assign = async () => {
    try {
      await api.send("post", "/api/pems/systems/{pems}/assign", {
        path: { pems: system.pems },
        body: { organizationId },
      });
      tell(`The organization has PEMS ${system.pems} now`);
      refresh();
      onClose();
    } catch (error) {
      tellError("The organization keeps its PEMS", error);
    }
  };
  return (
    <Confirm
      title={`Assign PEMS ${system.pems}`}
      action="Assign"
      blocked={organizationId ? undefined : "Every organization has it"}
      typed={me.instance.production ? me.instance.name || "production" : undefined}
      onConfirm={() => void assign()}
      onClose={onClose}
    >
      <p>
        From then on the organization's edits are written to this PEMS, and its records are read from it. Other
        organizations are not touched.
      </p>
      <Choice
        label="Organization"
        value={organizationId}
        options={others.map((other) => [other.organizationId, other.code ?? other.organizationId])}
        onChange={setOrganizationId}
      />
    </Confirm>
  );
}

/** Retires a PEMS that no organization has. */
export function RetireDialog({ system, onClose }: { system: PemsSystem; onClose: () => void }) {
  const api = useApi();
  const refresh = useRefresh();
  const retire = async () => {
    try {
      await api.send("delete", "/api/pems/systems/{pems}", { path: { pems: system.pems } });
      tell(`PEMS ${system.pems} is retired`);
      refresh();
      onClose();
    } catch (error) {
      tellError("It was not retired", error);
    }
  };
  return (
    <Confirm
      danger
      title={`Retire PEMS ${system.pems}`}
      action={`Retire ${system.pems}`}
      typed={system.pems}
      onConfirm={() => void retire()}
      onClose={onClose}
    >
      <p>Its secrets are erased, and it is not used again. Records and history are not touched.</p>
    </Confirm>
  );
}
