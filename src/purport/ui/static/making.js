// A queue that is being made: how far it is, and the queue once it is there. Without it, the page reloads itself.
"use strict";

(() => {
  const place = document.getElementById("making");
  async function look() {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const now = page.getElementById("making");
      if (!now) return location.reload();
      place.replaceChildren(...now.childNodes);
    } catch { /* the server is away for a moment */ }
    setTimeout(look, 700);
  }
  setTimeout(look, 300);
})();
