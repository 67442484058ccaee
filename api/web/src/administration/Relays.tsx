import { useQuery } from "@tanstack/react-query";
import { reading, useApi } from "../api/context";
import { Batches } from "../history/Batches";
import { Answered } from "../widgets/Answered";
import { Time } from "../widgets/Time";

/** The relays, by what they claimed last. */
export function Relays() {
  const query = useQuery(reading(useApi(), "/api/pems/batches", { query: { limit: 200 } }));
  return (
    <div className="flex flex-col gap-3">
      <Answered query={query} rows={2}>
        {({ batches }) => {
          const latest = new Map(batches.toReversed().map((batch) => [batch.relay, batch]));
          return (
            <ul className="mx-4 flex flex-wrap gap-3" aria-label="Relays">
              {[...latest].map(([relay, batch]) => (
                <li key={relay} className="panel px-3 py-2">
                  <strong className="font-medium">{relay}</strong>
                  <span className="block text-secondary">
                    last claim <Time at={batch.claimedAt} />
                  </span>
                </li>
              ))}
              {latest.size === 0 && <li className="text-secondary">No relay has claimed anything yet.</li>}
            </ul>
          );
        }}
      </Answered>
      <Batches />
    </div>
  );
}
