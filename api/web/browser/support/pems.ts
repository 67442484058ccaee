import { request } from "node:https";

/** The simulator of PEMS, as the tests steer it. */
function control<T>(method: string, path: string, body?: object): Promise<T> {
  const url = new URL(`/simulator/${path}`, process.env.PEMS_URL);
  const headers = { tenant: "TEST", Authorization: `Basic ${Buffer.from("pfa-sync:secret").toString("base64")}` };
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers, ca: process.env.PEMS_CA_PEM }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new Error(`the simulator answered ${response.statusCode}: ${text}`));
      });
    });
    call.on("error", reject);
    call.end(body && JSON.stringify(body));
  });
}

export type PemsRecord = Record<string, string | number | boolean | null>;

/** Another user of PEMS changes a record. */
export const editInPems = (pfaId: string, changes: object) =>
  control("POST", "edit", { organization: "RIO", pfaId, changes });

/** A gateway answers in PEMS' place; without a status, PEMS answers again. */
export const gateway = (status?: number) =>
  control("POST", "gateway", status ? { status, body: "<h1>Bad gateway</h1>" } : {});

/** The next request of this kind fails in this way. */
export const fault = (operation: string, fault: unknown) => control("POST", "faults", { operation, fault });

/** A record as PEMS has it. */
export async function inPems(pfaId: string): Promise<PemsRecord> {
  const records = await control<PemsRecord[]>("GET", "records?organization=RIO");
  const record = records.find((other) => other.pfaId === pfaId);
  if (!record) throw new Error(`PEMS has no record ${pfaId}`);
  return record;
}
