// What every page of the web app shares. Pages work without it; nothing is loaded from elsewhere.
"use strict";

const app = {
  /** Path of the app, such as /ui. */
  ui: document.body.dataset.ui,

  /** Say something to the person, in the place that screen readers listen to; kind is "", "good", "warning" or "error". */
  tell(message, kind = "") {
    const place = document.getElementById("notice");
    place.className = `notice ${kind}`;
    place.textContent = message;
    place.hidden = !message;
    if (kind === "error" || kind === "warning") place.scrollIntoView({ block: "nearest" });
  },

  /** Send JSON; answers {ok, status, body}. A server that cannot be reached is an answer, too: nothing is lost silently. */
  async send(method, path, values) {
    let response;
    try {
      response = await fetch(app.ui + path, {
        method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(values), credentials: "same-origin",
      });
    } catch {
      const message = "The server cannot be reached. Your last choice is not saved; try again in a moment.";
      return { ok: false, status: 0, body: { title: "No connection", message } };
    }
    if (response.status === 401) {
      const here = location.pathname.slice(app.ui.length) + location.search;
      location.assign(`${app.ui}/sign-in?next=${encodeURIComponent(here)}`);
    }
    const body = await response.json().catch(() => ({ message: "The server gave no readable answer; try again." }));
    return { ok: response.ok, status: response.status, body };
  },

  /** A page has the first labels only: get all for the search of an input that says where they are. */
  async labels(input, taken) {
    if (!input.dataset.labels) return;
    try {
      const response = await fetch(app.ui + input.dataset.labels, { credentials: "same-origin" });
      if (response.ok) taken((await response.json()).labels);
    } catch { /* the first labels are there */ }
  },
};
window.purport = app;
