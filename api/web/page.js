// Shows /openapi.json: each route with its parameters, its body and its answer. Text only ever becomes text nodes.
const api = await (await fetch("/openapi.json")).json();

const element = (name, ...children) => {
  const made = document.createElement(name);
  made.append(...children);
  return made;
};

const resolved = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema);

const type = (schema) => {
  if (!schema) return "any";
  if (schema.$ref) return type(resolved(schema));
  if (schema.oneOf) return schema.oneOf.map(type).join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.items) return `list of ${type(schema.items)}`;
  return [].concat(schema.type ?? "any").join(" or ") + (schema.format ? ` (${schema.format})` : "");
};

const table = (rows) =>
  element("table", ...rows.map((cells) => element("tr", ...cells.map((cell) => element("td", cell)))));

const fields = (schema, depth = 0) =>
  Object.entries(resolved(schema)?.properties ?? {}).flatMap(([name, field]) => {
    const inner = field.items ?? field;
    const deeper = depth < 4 && resolved(inner)?.properties ? fields(inner, depth + 1) : [];
    return [["– ".repeat(depth) + name, type(field), field.description ?? resolved(field)?.description ?? ""], ...deeper];
  });

const body = (title, content) => {
  const [kind, { schema, example } = {}] = Object.entries(content ?? {})[0] ?? [];
  const shown = example === undefined ? [] : [element("pre", JSON.stringify(example, null, 2))];
  return kind ? [element("h4", `${title}: ${kind}`), table(fields(schema)), ...shown] : [];
};

const refusals = (answers) =>
  Object.entries(answers)
    .filter(([, answer]) => answer.$ref)
    .map(([status, answer]) => [status, api.components.responses[answer.$ref.split("/").pop()].description]);

const route = (path, method, operation) => {
  const about = operation.summary ?? "";
  const parameters = (operation.parameters ?? []).map((parameter) => [
    element("code", parameter.name),
    `${parameter.in}${parameter.required ? ", required" : ""}`,
    type(parameter.schema),
    parameter.description ?? "",
  ]);
  const shown = element(
    "details",
    element("summary", element("code", `${method.toUpperCase()} ${path}`), ` ${about}`),
    ...(operation.description ? [element("p", operation.description)] : []),
    ...(parameters.length ? [element("h4", "Parameters"), table(parameters)] : []),
    ...body("Body", operation.requestBody?.content),
    ...Object.entries(operation.responses).flatMap(([status, answer]) => body(`Answer ${status}`, answer.content)),
    element("h4", "Refusals"),
    table(refusals(operation.responses)),
  );
  shown.id = operation.operationId;
  return shown;
};

const groups = new Map();
for (const [path, operations] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    const group = operation.tags?.[0] ?? "others";
    groups.set(group, [...(groups.get(group) ?? []), route(path, method, operation)]);
  }
}
document.getElementById("about").textContent = `${api.info.description} Version ${api.info.version}.`;
document.getElementById("routes").replaceChildren(
  ...[...groups].flatMap(([group, routes]) => [element("h2", group), ...routes]),
);
