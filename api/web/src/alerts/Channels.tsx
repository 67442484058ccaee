import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, reading, useApi } from "../api/context";
import { errorLines } from "../api/problem";
import type { AlertChannel } from "../api/types";
import { useCodeOf, useMe } from "../frame/me";
import { Answered, Empty } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Confirm } from "../widgets/Confirm";
import { Dialog } from "../widgets/Dialog";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";
import { tell, tellError } from "../widgets/toasts";

/** Where alerts are sent: webhooks and mail addresses. */
export function Channels() {
  const api = useApi();
  const cache = useQueryClient();
  const codeOf = useCodeOf();
  const query = useQuery(reading(api, "/api/pems/alert-channels"));
  const [isAdding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<AlertChannel | null>(null);
  const refresh = () => void cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/alert-channels"] });
  const turn = async ({ kind, address, severity, organizationId, enabled }: AlertChannel) => {
    try {
      await api.send("put", "/api/pems/alert-channels", {
        body: { kind, address, severity, organizationId, enabled: !enabled },
      });
      refresh();
    } catch (error) {
      tellError("The channel was not changed", error);
    }
  };
  const remove = async ({ channelId }: AlertChannel) => {
    try {
      await api.send("delete", "/api/pems/alert-channels/{channelId}", { path: { channelId } });
      setRemoving(null);
      refresh();
    } catch (error) {
      tellError("The channel was not removed", error);
    }
  };
  return (
    <div className="flex flex-col gap-2">
      <div className="px-4">
        <Button onClick={() => setAdding(true)}>Add a channel…</Button>
      </div>
      <Answered query={query} rows={3}>
        {({ channels }) =>
          channels.length === 0 ? (
            <Empty title="Alerts are sent to no channel">They stand here, and administrators get a notification.</Empty>
          ) : (
            <TableScroll label="Channels" className="border-t border-line">
              <table className="data-table">
                <thead>
                  <tr>
                    <th scope="col">Channel</th>
                    <th scope="col">Alerts</th>
                    <th scope="col">State</th>
                    <th scope="col">Last sent</th>
                    <th scope="col">
                      <span className="sr-only">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {channels.map((channel) => (
                    <tr key={channel.channelId}>
                      <td className="break-all">
                        {channel.kind}: {channel.address}
                      </td>
                      <td>
                        {channel.severity === "critical" ? "critical only" : "all"},{" "}
                        {channel.organizationId ? codeOf(channel.organizationId) : "all organizations"}
                      </td>
                      <td>
                        {channel.enabled ? "on" : "off"}
                        {channel.waiting > 0 && <span className="text-attention"> {channel.waiting} wait</span>}
                        {channel.lastError && (
                          <span className="block max-w-md break-words text-failed">{channel.lastError}</span>
                        )}
                      </td>
                      <td>{channel.lastDeliveredAt ? <Time at={channel.lastDeliveredAt} /> : "never"}</td>
                      <td className="text-right whitespace-nowrap">
                        <Button kind="text" onClick={() => void turn(channel)}>
                          {channel.enabled ? "Turn off" : "Turn on"}
                        </Button>
                        <Button kind="text" onClick={() => setRemoving(channel)}>
                          Remove…
                        </Button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </TableScroll>
          )
        }
      </Answered>
      {isAdding && <ChannelDialog onClose={() => setAdding(false)} onSaved={refresh} />}
      {removing && (
        <Confirm
          danger
          title="Remove a channel"
          action="Remove"
          onConfirm={() => void remove(removing)}
          onClose={() => setRemoving(null)}
        >
          <p className="break-all">
            {removing.address} gets no further alerts, and what waits for it is deleted. Alerts and other channels are
            not touched.
          </p>
        </Confirm>
      )}
    </div>
  );
}

function ChannelDialog({ onClose, onSaved }: { onClose: () => void; onSaved: () => void }) {
  const api = useApi();
  const me = useMe();
  const [kind, setKind] = useState("webhook");
  const [address, setAddress] = useState("");
  const [severity, setSeverity] = useState("warning");
  const [scope, setScope] = useState("");
  const [failure, setFailure] = useState<string[]>();
  const save = async () => {
    try {
      await api.send("put", "/api/pems/alert-channels", {
        body: { kind, address: address.trim(), severity, organizationId: scope || null },
      });
      tell("The channel is added");
      onSaved();
      onClose();
    } catch (error) {
      setFailure(errorLines(error));
    }
  };
  return (
    <Dialog
      title="Add a channel"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" reason={address.trim() ? undefined : "Write an address"} onClick={() => void save()}>
            Add
          </Button>
        </>
      }
    >
      <Choice
        label="Kind"
        value={kind}
        options={[
          ["webhook", "webhook"],
          ["mail", "mail"],
        ]}
        onChange={setKind}
      />
      <label className="flex flex-col gap-1">
        {kind === "mail" ? "Mail address" : "Address (https)"}
        <input className="field" value={address} maxLength={255} onChange={(event) => setAddress(event.target.value)} />
      </label>
      <Choice
        label="Alerts"
        value={severity}
        options={[
          ["warning", "all"],
          ["critical", "critical only"],
        ]}
        onChange={setSeverity}
      />
      <Choice
        label="Of"
        value={scope}
        options={[
          ["", "all organizations"],
          ...me.organizations.map(({ organizationId, code }): [string, string] => [
            organizationId,
            code ?? organizationId,
          ]),
        ]}
        onChange={setScope}
      />
      {failure?.map((line) => (
        <p key={line} role="alert" className="text-failed">
          {line}
        </p>
      ))}
    </Dialog>
  );
}
