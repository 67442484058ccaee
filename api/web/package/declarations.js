// Makes the declarations that tsc wrote fit Node's module resolution: an import of a file has its extension. Imports of
// styles are left out: they have no declarations.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const types = join(import.meta.dirname, "dist", "types");
for (const name of readdirSync(types, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = join(types, name);
  const declarations = readFileSync(file, "utf8")
    .replace(/^import "[^"]+\.css";\n/gm, "")
    .replace(/(from |import\()"(\.{1,2}\/[^"]+)"/g, '$1"$2.js"');
  writeFileSync(file, declarations);
}
