// A Node app without dependencies: one page that shows which copy answered. It listens on 127.0.0.1:$PORT.
"use strict";

const http = require("node:http");

const copy = process.env.GAPURA_INSTANCE ?? "–";
const started = new Date();
let visits = 0;

// Everything is inside the page: were there a second request for a style or an icon, two copies that take turns would
// show the same copy at every reload.
const page = () => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Copy ${copy}</title><link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; font: 18px/1.6 system-ui, sans-serif; }
  body { display: grid; place-content: center; min-height: 100vh; margin: 0; text-align: center; }
  b { display: block; font-size: 7rem; line-height: 1; color: hsl(${(Number(copy) || 0) * 137 + 200} 65% 50%); }
</style></head>
<body><p>answered by copy<b>${copy}</b></p>
<p>pid ${process.pid} · port ${server.address().port} · page ${visits} since ${started.toLocaleTimeString()}</p>
<p>Reload the page.</p></body></html>
`;

const server = http.createServer((request, response) => {
  const found = request.url === "/";
  if (found) visits += 1;
  const body = Buffer.from(found ? page() : "Not found\n");
  response.writeHead(found ? 200 : 404, {
    "Content-Type": found ? "text/html; charset=utf-8" : "text/plain; charset=utf-8",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : body);
});

server.keepAliveTimeout = 90_000; // longer than the proxy keeps idle connections: it closes first
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`node: copy ${copy} on http://127.0.0.1:${server.address().port}`);
});

// Finish what is under way, then end.
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
