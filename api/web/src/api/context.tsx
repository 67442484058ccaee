import { type Query, queryOptions } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import type { Answer, Api, Input, PathOf } from "./client";

const ApiContext = createContext<Api | null>(null);

/** Gives the service to everything below. */
export const ApiProvider = ApiContext.Provider;

/** The service that the page talks to. */
export function useApi(): Api {
  const api = useContext(ApiContext);
  if (!api) throw new Error("there is no ApiProvider above this component");
  return api;
}

/** The first part of every key of the cache. Several services may share one cache of a host. */
export const CACHE = "pfa-sync";

/** Finds the reads of paths, and of all paths below them, in the cache. */
export function readsBelow(...paths: string[]): { predicate: (query: Query) => boolean } {
  return {
    predicate: ({ queryKey: [scope, path] }) =>
      scope === CACHE && typeof path === "string" && paths.some((upper) => path.startsWith(upper)),
  };
}

/** A read, as TanStack Query takes it. Its key is the path and what is asked for. */
export function reading<P extends PathOf<"get"> & string>(api: Api, path: P, input: Input<P, "get"> = {}) {
  return queryOptions<Answer<P, "get">>({
    queryKey: [CACHE, path, input],
    queryFn: ({ signal }) => api.send("get", path, input, signal),
  });
}
