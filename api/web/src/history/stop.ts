import type { QueryClient } from "@tanstack/react-query";
import type { Api } from "../api/client";
import { readsBelow } from "../api/context";
import { tell, tellError } from "../widgets/toasts";

/** The permission that stops and continues a job. */
export function controlPermission(kind: string, isOwn: boolean): string {
  if (!isOwn) return "perm_ManageSettings";
  return { edit: "perm_SaveDraft", withdraw: "perm_Read" }[kind] ?? "perm_Sync";
}

/** Stops a bulk job, and says so. Its page continues it. */
export async function stopJob(api: Api, cache: QueryClient, jobId: string): Promise<void> {
  try {
    const body = { reason: "Stopped in the dashboard" };
    const { state } = await api.send("post", "/api/pems/jobs/{jobId}/stop", { path: { jobId }, body });
    if (state === "stopped") tell(`Job ${jobId} is stopped`);
    else tell(`Job ${jobId} has ended already`, { tone: "info" });
    void cache.invalidateQueries(readsBelow("/api/pems/jobs"));
  } catch (error) {
    tellError("It was not stopped", error);
  }
}
