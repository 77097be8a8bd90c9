// Try: the forms of the page are sent in place, and what comes back replaces the result. Without it, they load the page.
"use strict";

(() => {
  const ask = document.getElementById("ask");
  if (!ask) return;
  const text = document.getElementById("text"), said = document.getElementById("said");
  const result = () => document.getElementById("result");
  let running = null;

  /** The page that the server answers to `values`, or null: then the person is told why. A newer call ends an older one. */
  async function load(path, values) {
    running?.abort();
    const mine = running = new AbortController();
    let answer, body;
    try {
      const form = new URLSearchParams(values);
      answer = await fetch(path, { method: "POST", body: form, credentials: "same-origin", signal: mine.signal });
      body = await answer.text();
    } catch (error) {
      if (error.name !== "AbortError") purport.tell("The server cannot be reached. Try again in a moment.", "error");
      return null;
    } finally {
      if (running === mine) running = null;
    }
    if (answer.status === 401) { location.assign(`${purport.ui}/sign-in?next=/`); return null; }
    const page = new DOMParser().parseFromString(body, "text/html");
    if (answer.ok) { purport.tell(""); return page; }
    const title = page.querySelector("main h1")?.textContent ?? "Something went wrong";
    purport.tell(`${title}: ${page.querySelector("main .error")?.textContent ?? "try again in a moment."}`, "error");
    return null;
  }

  function put(page, id) {
    const fresh = page.getElementById(id), old = document.getElementById(id);
    if (fresh && old) old.replaceWith(document.adoptNode(fresh));
    prepare();
  }

  async function question(values) {
    result().setAttribute("aria-busy", "true");
    const page = await load(ask.action, [...values, ["later", "1"]]);
    result().removeAttribute("aria-busy");
    if (!page) return;
    put(page, "result");
    said.textContent = document.getElementById("verdict")?.textContent ?? "";
    if (result().querySelector("#why .soft")?.textContent.startsWith("Looking")) await why(new FormData(document.getElementById("labels")));
  }

  async function why(values) {
    const page = await load(ask.action, values);
    if (!page) return;
    const focused = document.activeElement?.closest("#labels button")?.value;
    put(page, "labels");
    put(page, "why");
    if (focused !== undefined) [...document.querySelectorAll("#labels button")].find((each) => each.value === focused)?.focus();
    if (values.get("label") || values.get("other")) said.textContent = document.getElementById("why-title")?.textContent ?? "";
  }

  async function lesson(form, values) {
    const buttons = form.querySelectorAll("button");
    buttons.forEach((each) => { each.disabled = true; });
    purport.tell("The model learns. This takes some seconds …");
    const page = await load(form.action, values);
    buttons.forEach((each) => { each.disabled = false; });
    if (!page) return;
    put(page, "result");
    const told = document.getElementById("told");
    said.textContent = told?.querySelector("p")?.textContent ?? "";
    told?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("submit", (event) => {
    const form = event.target, values = new FormData(form, event.submitter);
    if (form.matches(".session")) return;
    event.preventDefault();
    if (form === ask) { if (text.value.trim()) question(values); }
    else if (form.matches(".samples")) { text.value = values.get("text"); question(values); }
    else if (form.matches(".why-form")) why(values);
    else if (form.matches(".lesson")) lesson(form, values);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask.requestSubmit(); }
  });
  document.getElementById("model")?.addEventListener("change", async (event) => {
    if (text.value.trim()) ask.requestSubmit();
    const answer = await fetch(`${purport.ui}/?model=${encodeURIComponent(event.target.value)}`).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["about", "samples", "known"]) put(page, id);
  });

  // --- The right label: a search over all, and "none of these" beside no other.
  function prepare() {
    const form = document.getElementById("teach"), typed = document.getElementById("typed");
    if (!form || typed.role === "combobox") return;
    const several = form.dataset.several === "1", options = form.querySelector(".options");
    const none = options.querySelector(".none-of-these");
    options.addEventListener("change", ({ target }) => {
      if (!several || !target.checked) return;
      if (target.value === "") options.querySelectorAll("input").forEach((each) => { if (each !== target) each.checked = false; });
      else none.querySelector("input").checked = false;
    });
    purport.picker(typed, document.getElementById("found"), document.getElementById("matches"), (label) => {
      let input = [...options.querySelectorAll("input")].find((each) => each.value === label);
      if (!input) {
        const option = document.createElement("label"), name = document.createElement("span");
        option.className = "option"; name.className = "name"; name.textContent = label;
        input = document.createElement("input");
        input.type = several ? "checkbox" : "radio"; input.name = "label"; input.value = label;
        option.append(input, name);
        options.insertBefore(option, none);
      }
      input.checked = true;
      input.focus();
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
  prepare();
})();
