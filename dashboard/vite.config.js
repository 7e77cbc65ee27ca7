import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `npm run dev` shows what a real Gapura does: one whose file says [admin] listen = 9180, loopback = "full".
const api = {
  target: process.env.GAPURA_DASHBOARD_API ?? "http://127.0.0.1:9180",
  changeOrigin: true,
  configure: (proxy) =>
    proxy.on("proxyReq", (request) => {
      // Gapura refuses what comes from another origin, and to it this server is one.
      for (const name of ["origin", "sec-fetch-site", "referer"]) request.removeHeader(name);
    }),
};
const proxy = { "/v1": api, "/metrics": api };

export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: process.env.GAPURA_DASHBOARD_OUT ?? "../src/gapura/control/dashboard",
    emptyOutDir: true,
    assetsInlineLimit: 0, // a data: address would need a hole in the content security policy
    modulePreload: { polyfill: false },
    target: ["chrome123", "firefox121", "safari17.5"], // the first with light-dark()
    reportCompressedSize: false,
  },
  server: { proxy },
  preview: { proxy },
});
