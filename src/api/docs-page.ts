import { createRequire } from "node:module";

/** Files of swagger-ui-dist that the page needs; served by the node itself, so that it works without the internet. */
export const DOCS_FILES: Readonly<Record<string, string>> = {
  "/docs/swagger-ui.css": "text/css",
  "/docs/swagger-ui-bundle.js": "text/javascript",
};

/** The file's path on disk. */
export function docsFile(path: string): string {
  const name = path.slice("/docs/".length);
  return createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`);
}

export const DOCS_PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>cretoai node API</title><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="ui"></div><script src="/docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({ url: "/openapi.json", dom_id: "#ui", validatorUrl: null });</script></body>
</html>
`;
