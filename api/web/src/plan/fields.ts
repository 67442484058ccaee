import type { MyOrganization } from "../api/types";

export type FieldType = "text" | "choice" | "amount" | "day" | "boolean";

export type Field = {
  name: string;
  label: string;
  type: FieldType;
  /** The permission that an edit needs; absent: the field is never edited. */
  permission?: "perm_EditForecast" | "perm_EditActuals";
  choices?: string[];
  /** Shown to holders of perm_ViewFinancials only. */
  price?: boolean;
};

const forecast = "perm_EditForecast" as const;
const actuals = "perm_EditActuals" as const;

/** The fields of a PFA record in the order in which they are shown. What is valid, the database decides. */
export const FIELDS: Field[] = [
  { name: "pfaId", label: "PFA", type: "text" },
  { name: "organization", label: "Organization", type: "text" },
  { name: "category", label: "Category", type: "text", permission: forecast },
  { name: "forecastCategory", label: "Forecast category", type: "text", permission: forecast },
  { name: "class", label: "Class", type: "text", permission: forecast },
  { name: "source", label: "Source", type: "choice", permission: forecast, choices: ["Rental", "Purchase"] },
  { name: "dor", label: "DOR", type: "choice", permission: forecast, choices: ["BEO", "PROJECT"] },
  { name: "areaSilo", label: "Area silo", type: "text", permission: forecast },
  { name: "manufacturer", label: "Manufacturer", type: "text", permission: forecast },
  { name: "model", label: "Model", type: "text", permission: forecast },
  { name: "contract", label: "Contract", type: "text", permission: forecast },
  { name: "equipment", label: "Equipment", type: "text", permission: forecast },
  { name: "monthlyRate", label: "Monthly rate", type: "amount", permission: forecast, price: true },
  { name: "purchasePrice", label: "Purchase price", type: "amount", permission: forecast, price: true },
  { name: "forecastStart", label: "Forecast start", type: "day", permission: forecast },
  { name: "forecastEnd", label: "Forecast end", type: "day", permission: forecast },
  { name: "originalStart", label: "Original start", type: "day" },
  { name: "originalEnd", label: "Original end", type: "day" },
  { name: "actualStart", label: "Actual start", type: "day", permission: actuals },
  { name: "actualEnd", label: "Actual end", type: "day", permission: actuals },
  { name: "isActualized", label: "Actualized", type: "boolean", permission: actuals },
  { name: "isDiscontinued", label: "Discontinued", type: "boolean", permission: forecast },
  { name: "isFundsTransferable", label: "Funds transferable", type: "boolean", permission: forecast },
  { name: "hasPlan", label: "Has plan", type: "boolean" },
  { name: "hasActuals", label: "Has actuals", type: "boolean" },
];

const BY_NAME = new Map(FIELDS.map((field) => [field.name, field]));

/** A field by its name. One that a DBA added is a text under its own name. */
export function fieldOf(name: string): Field {
  return BY_NAME.get(name) ?? { name, label: name, type: "text", permission: forecast };
}

/** Why the user cannot edit a field; undefined: nothing stands against it. */
export function reasonLocked(field: Field, organization: MyOrganization | undefined): string | undefined {
  if (!field.permission) return `${field.label} is never edited here`;
  if (!organization?.permissions.includes("perm_SaveDraft")) return "Editing needs the permission to save drafts";
  if (!organization.permissions.includes(field.permission)) {
    return `${field.label} needs the permission to edit ${field.permission === actuals ? "actuals" : "forecasts"}`;
  }
  return undefined;
}
