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
};
window.purport = app;
