import { mount } from "svelte";
import App from "./App.svelte";
import "uplot/dist/uPlot.min.css";
import { speak } from "./lib/words.svelte.js";
import "./look.css";

await speak(document.documentElement.lang);
mount(App, { target: document.getElementById("app") });
