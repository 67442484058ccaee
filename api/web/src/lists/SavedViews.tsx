import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, reading, useApi } from "../api/context";
import { useView, type View } from "../frame/view";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Dialog } from "../widgets/Dialog";
import { tell, tellError } from "../widgets/toasts";

/** The pages that have saved views, and what of the address a view of each holds. */
const KEPT = {
  records: ["q", "state", "sort", "desc", "cols"],
  conflicts: ["show", "field", "code", "author", "pfaId", "since"],
  history: ["show", "kind", "jobState", "by", "pfaId", "job", "since", "until"],
  failures: ["cause", "pfaId", "by", "since"],
  audit: ["type", "by", "pfaId", "since", "until"],
};

type Named = { name: string; userId: string };
const keyOf = ({ name, userId }: Named) => JSON.stringify([userId, name]);

/** Views of a page that users saved: chosen, saved under a name, shared, deleted. */
export function SavedViews({ page }: { page: keyof typeof KEPT }) {
  const kept = KEPT[page];
  const api = useApi();
  const cache = useQueryClient();
  const [view, change] = useView();
  const [isSaving, setSaving] = useState(false);
  const saved = useQuery({ ...reading(api, "/api/pems/views", { query: { page } }), staleTime: 60_000 });
  const views = saved.data?.views ?? [];
  const setup: View = Object.fromEntries(kept.map((name) => [name, view[name]]));
  const isSame = (other: View) => kept.every((name) => (other[name] ?? "") === (setup[name] ?? ""));
  const current = views.find((other) => isSame(other.setup as View));
  const refresh = () => cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/views"] });
  const remove = async () => {
    if (!current) return;
    try {
      await api.send("delete", "/api/pems/views/{page}/{name}", { path: { page, name: current.name } });
      await refresh();
      tell(`View ${current.name} is deleted`, {
        action: {
          label: "Undo",
          run: () =>
            void api
              .send("put", "/api/pems/views/{page}/{name}", {
                path: { page, name: current.name },
                body: { setup: current.setup, shared: current.shared },
              })
              .then(refresh)
              .catch((error) => tellError("The view was not restored", error)),
        },
      });
    } catch (error) {
      tellError("The view was not deleted", error);
    }
  };
  return (
    <>
      {views.length > 0 && (
        <Choice
          bare
          label="Saved view"
          value={current ? keyOf(current) : ""}
          options={[
            ["", "Saved views"],
            ...views.map((saved): [string, string] => [
              keyOf(saved),
              saved.own ? saved.name : `${saved.name} (${saved.userName})`,
            ]),
          ]}
          onChange={(key) => {
            const chosen = views.find((other) => keyOf(other) === key);
            change(
              { ...Object.fromEntries(kept.map((key) => [key, undefined])), ...((chosen?.setup ?? {}) as View) },
              true,
            );
          }}
        />
      )}
      {current?.own ? (
        <Button onClick={() => void remove()}>Delete view</Button>
      ) : (
        <Button onClick={() => setSaving(true)}>Save view</Button>
      )}
      <Button
        onClick={async () => {
          try {
            await copy(location.href);
            tell("The link to this view is copied");
          } catch (error) {
            tellError("The link was not copied", error);
          }
        }}
      >
        Copy link
      </Button>
      {isSaving && (
        <SaveView page={page} setup={setup} onClose={() => setSaving(false)} onSaved={() => void refresh()} />
      )}
    </>
  );
}

function SaveView({
  page,
  setup,
  onClose,
  onSaved,
}: {
  page: string;
  setup: View;
  onClose: () => void;
  onSaved: () => void;
}) {
  const api = useApi();
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const save = async () => {
    try {
      await api.send("put", "/api/pems/views/{page}/{name}", {
        path: { page, name: name.trim() },
        body: { setup, shared },
      });
      onSaved();
      onClose();
    } catch (error) {
      tellError("The view was not saved", error);
    }
  };
  return (
    <Dialog
      title="Save this view"
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
      <label className="flex flex-col gap-1">
        Name
        <input
          autoFocus
          className="field"
          value={name}
          maxLength={100}
          onChange={(event) => setName(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && name.trim()) void save();
          }}
        />
      </label>
      <label className="flex items-center gap-2">
        <input type="checkbox" checked={shared} onChange={(event) => setShared(event.target.checked)} />
        Show it to users of the same organizations
      </label>
    </Dialog>
  );
}

/** Copies a text. A page over plain HTTP has no clipboard: there, a text field is copied from. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}
