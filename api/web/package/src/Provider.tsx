import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { UNSAFE_PortalProvider as PortalProvider } from "react-aria";
import { Api } from "../../src/api/client";
import { ApiProvider, reading, useApi } from "../../src/api/context";
import { MeProvider } from "../../src/frame/me";
import { LiveProvider } from "../../src/live/LiveProvider";
import { Answered } from "../../src/widgets/Answered";
import { Toasts } from "../../src/widgets/toasts";
import { StatusStore } from "./StatusStore";

/** Where a component leads; the host decides what follows. */
export type Intent =
  | { kind: "record"; organizationId: string | null; pfaId: string }
  | { kind: "conflict"; conflictId: string }
  | { kind: "failures" }
  | { kind: "conflicts" }
  | { kind: "alerts" }
  | { kind: "job"; jobId: string };

type Props = {
  /** Where pfa-api is, such as https://sync.example.com. */
  baseUrl: string;
  /** The user's token, asked for at each request. It is not kept. */
  getToken: () => string | null | Promise<string | null>;
  /** The organization of the records, by id or code. */
  organization: string;
  /** The cache of the host, if it has one; otherwise the components have their own. */
  queryClient?: QueryClient;
  /** dark or light; absent: that of an element above with data-theme. */
  theme?: "dark" | "light";
  /** What a user wants to see; absent: links do nothing. */
  onIntent?: (intent: Intent) => void;
  children: ReactNode;
};

type Host = { organization: string; store: StatusStore; onIntent?: (intent: Intent) => void; theme?: string };

const HostContext = createContext<Host | null>(null);

/** What the host gave to the components. */
export function useHost(): Host {
  const host = useContext(HostContext);
  if (!host) throw new Error("there is no PfaSyncProvider above this component");
  return host;
}

/** Connects the components below it to pfa-api: one event stream, one cache, and one place for windows and messages. */
export function PfaSyncProvider({ baseUrl, getToken, organization, queryClient, theme, onIntent, children }: Props) {
  const own = useMemo(
    () => queryClient ?? new QueryClient({ defaultOptions: { queries: { staleTime: 15_000 } } }),
    [queryClient],
  );
  const api = useMemo(() => new Api({ baseUrl, getToken }), [baseUrl, getToken]);
  const store = useMemo(() => new StatusStore(api, organization), [api, organization]);
  const host = useMemo(() => ({ organization, store, onIntent, theme }), [organization, store, onIntent, theme]);
  return (
    <QueryClientProvider client={own}>
      <ApiProvider value={api}>
        <HostContext value={host}>
          <Connected>{children}</Connected>
        </HostContext>
      </ApiProvider>
    </QueryClientProvider>
  );
}

function Connected({ children }: { children: ReactNode }) {
  const { theme, store } = useHost();
  const me = useQuery(reading(useApi(), "/api/pems/me"));
  const [place, setPlace] = useState<HTMLElement | null>(null);
  useEffect(() => {
    const element = document.body.appendChild(document.createElement("div"));
    setPlace(element);
    return () => element.remove();
  }, []);
  useEffect(() => {
    if (!place) return;
    place.dataset.pfaSync = "";
    // It covers nothing of the page: what is in it is placed by itself.
    place.style.background = "transparent";
    if (theme) place.dataset.theme = theme;
    else delete place.dataset.theme;
  }, [place, theme]);
  if (!place) return null;
  return (
    <Answered query={me} rows={1}>
      {(data) => (
        <MeProvider value={data}>
          <LiveProvider user={data.userId}>
            <PortalProvider getContainer={() => place}>
              <store.Listener />
              {children}
              <Toasts />
            </PortalProvider>
          </LiveProvider>
        </MeProvider>
      )}
    </Answered>
  );
}

/** The element that carries the style of a component. */
export function Scope({ children, inline }: { children: ReactNode; inline?: boolean }) {
  const { theme } = useHost();
  const Element = inline ? "span" : "div";
  return (
    <Element data-pfa-sync="" data-theme={theme} style={inline ? { background: "transparent" } : undefined}>
      {children}
    </Element>
  );
}
