import { type InfiniteData, keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import type { Answer, Input, PathOf } from "../api/client";
import { CACHE, useApi } from "../api/context";

/** A list by pages, as the service has it: `next` of a page is `after` of the following one. */
export function usePages<P extends PathOf<"get"> & string>(
  path: P,
  input: Input<P, "get">,
  options: { enabled?: boolean } = {},
) {
  const api = useApi();
  return useInfiniteQuery<Answer<P, "get">, Error, InfiniteData<Answer<P, "get">>, unknown[], string | undefined>({
    queryKey: [CACHE, path, input, "pages"],
    queryFn: ({ pageParam, signal }) =>
      api.send(
        "get",
        path,
        { ...input, query: { ...(input.query as object), after: pageParam } } as Input<P, "get">,
        signal,
      ),
    initialPageParam: undefined,
    getNextPageParam: (page) => (page as { next?: string | null }).next ?? undefined,
    placeholderData: keepPreviousData,
    enabled: options.enabled ?? true,
  });
}
