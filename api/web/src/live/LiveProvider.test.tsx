import { useQuery } from "@tanstack/react-query";
import { render, waitFor } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import { reading, useApi } from "../api/context";
import { Surroundings, serviceOf } from "../harness";
import { LiveProvider } from "./LiveProvider";

afterEach(() => vi.unstubAllGlobals());

const EVENTS = "GET /api/pems/events";
const JOBS = "GET /api/pems/jobs";

function Jobs() {
  useQuery(reading(useApi(), "/api/pems/jobs"));
  return null;
}

it.each([
  { tab: "reads the stream itself", locks: undefined },
  {
    tab: "takes the stream over from another one",
    locks: { request: (_name: string, _options: object, run: () => Promise<void>) => Promise.resolve().then(run) },
  },
])("A tab that $tab reads its data again once the stream is live", async ({ locks }) => {
  vi.stubGlobal("navigator", { locks });
  const stream = new TransformStream<Uint8Array, Uint8Array>();
  const { api, asked } = serviceOf({ [EVENTS]: () => new Response(stream.readable), [JOBS]: () => ({ jobs: [] }) });
  const { unmount } = render(
    <Surroundings api={api}>
      <LiveProvider user="usr_me">
        <Jobs />
      </LiveProvider>
    </Surroundings>,
  );
  await waitFor(() => expect([asked(EVENTS), asked(JOBS)].map(({ length }) => length)).toEqual([1, 1]));
  await stream.writable.getWriter().write(new TextEncoder().encode("event: ready\nid: 7\ndata: {}\n\n"));
  await waitFor(() => expect(asked(JOBS)).toHaveLength(2));
  unmount();
});
