import { Dialog } from "../widgets/Dialog";
import { type Binding, KEYS, keyText } from "./keys";

/** The keys, by where they work. */
export function Help({ onClose }: { onClose: () => void }) {
  const places = Map.groupBy(Object.values(KEYS) as Binding[], ({ where }) => where);
  return (
    <Dialog title="Keys" onClose={onClose}>
      {[...places].map(([place, bindings]) => (
        <section key={place}>
          <h3 className="mb-1 font-medium">{place}</h3>
          <dl className="grid grid-cols-[6.5rem_1fr] gap-y-1">
            {bindings.map(({ keys, does }) => (
              <div key={keys + does} className="contents">
                <dt className="flex gap-1">
                  {keyText(keys)
                    .split(" ")
                    .map((key) => (
                      <kbd key={key} className="key">
                        {key}
                      </kbd>
                    ))}
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <p className="text-secondary">Keys do nothing while you type in a field.</p>
    </Dialog>
  );
}
