import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode, useCallback, useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { Api } from "./api/client";
import { ApiProvider, reading, useApi } from "./api/context";
import { ApiError } from "./api/problem";
import { MeProvider } from "./frame/me";
import { applyTheme } from "./frame/theme";
import "./index.css";
import { LiveProvider } from "./live/LiveProvider";
import { createDashboardRouter } from "./routes";
import { SignIn, signInAddress } from "./session/SignIn";
import { endOf, forgetToken, keepToken, takeToken, userOf } from "./session/token";
import { Answered } from "./widgets/Answered";

const MAX_TRIES = 3;

// A new version of the service has other files: a page that is open loads itself anew, once.
window.addEventListener("vite:preloadError", (event) => {
  if (sessionStorage.getItem("pfa-sync.reloaded")) return;
  sessionStorage.setItem("pfa-sync.reloaded", "1");
  event.preventDefault();
  location.reload();
});

function createCache(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        retry: (failures, error) => error instanceof ApiError && error.isTemporary && failures < MAX_TRIES,
      },
    },
  });
}

function Session() {
  const [token, setToken] = useState(() => takeToken(location, history, sessionStorage));
  const [reason, setReason] = useState<string>();
  const signOut = useCallback((why?: string) => {
    forgetToken(sessionStorage);
    setReason(why);
    setToken(null);
  }, []);
  useEffect(() => {
    const take = () => setToken(takeToken(location, history, sessionStorage));
    window.addEventListener("hashchange", take);
    return () => window.removeEventListener("hashchange", take);
  }, []);
  const end = token ? endOf(token) : null;
  useEffect(() => {
    if (end === null) return;
    const timer = setTimeout(
      () => signOut("The token has ended. Sign in again; nothing that was saved is lost."),
      Math.min(end - Date.now(), 2 ** 31 - 1),
    );
    return () => clearTimeout(timer);
  });
  const address = token ? null : signInAddress(document);
  useEffect(() => {
    if (address && !reason) location.assign(address);
  }, [address, reason]);
  if (!token) {
    if (address && !reason) return null;
    return <SignIn reason={reason} onToken={(text) => setToken(keepToken(text, sessionStorage))} />;
  }
  return <SignedIn key={token} token={token} onSignOut={signOut} />;
}

function SignedIn({ token, onSignOut }: { token: string; onSignOut: (why?: string) => void }) {
  const api = useMemo(
    () =>
      new Api({
        baseUrl: "",
        getToken: () => token,
        onUnauthenticated: () =>
          onSignOut("The service does not accept the token: it has ended, or was signed for another installation."),
      }),
    [token, onSignOut],
  );
  const cache = useMemo(createCache, []);
  return (
    <QueryClientProvider client={cache}>
      <ApiProvider value={api}>
        <Dashboard user={userOf(token) ?? ""} onSignOut={() => onSignOut()} />
      </ApiProvider>
    </QueryClientProvider>
  );
}

function Dashboard({ user, onSignOut }: { user: string; onSignOut: () => void }) {
  const me = useQuery(reading(useApi(), "/api/pems/me"));
  const router = useMemo(() => createDashboardRouter({ onSignOut }), [onSignOut]);
  return (
    <Answered query={me} rows={12}>
      {(data) => (
        <MeProvider value={data}>
          <LiveProvider user={user}>
            <RouterProvider router={router} />
          </LiveProvider>
        </MeProvider>
      )}
    </Answered>
  );
}

applyTheme();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Session />
    </StrictMode>,
  );
}
