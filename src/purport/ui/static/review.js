// Review: keys, a search over all labels, and saving with the version that was seen. Without it, the forms do the same.
"use strict";

(() => {
  const form = document.getElementById("decision");
  const undoForm = document.getElementById("undo");
  const STACK = "purport-undo", KEYS = "purport-keys", RECENT = "purport-recent";
  const read = (store, key, none) => { try { return JSON.parse(store.getItem(key)) ?? none; } catch { return none; } };
  const write = (store, key, value) => { try { store.setItem(key, JSON.stringify(value)); } catch { /* not kept */ } };
  const base = location.pathname.slice(purport.ui.length).match(/^\/review\/[^/]+/)[0];
  const key = `${STACK}:${base}`;
  let busy = false;

  // --- Undo: each decision of this tab, with the versions that it made.
  function remember(word, number) {
    const stack = read(sessionStorage, key, []);
    stack.push({ word, number });
    write(sessionStorage, key, stack.slice(-200));
  }
  if (undoForm) {
    const word = undoForm.elements.undo.value, stack = read(sessionStorage, key, []);
    if (stack.at(-1)?.word !== word) undoForm.hidden = true; // it was undone, and the person went back
  }
  async function undo() {
    const stack = read(sessionStorage, key, []), last = stack.pop();
    if (!last) return purport.tell("There is nothing to undo.");
    const versions = Object.fromEntries(last.word.split(",").map((pair) => pair.split(":").map(Number)));
    const answer = await purport.send("PUT", `/api${base}/${last.number}`, { action: "undo", versions });
    if (!answer.ok && answer.status !== 409) return purport.tell(answer.body.message, "error");
    if (answer.ok) { // what the same texts were before has newer versions now
      const now = Object.fromEntries(answer.body.entries.map((entry) => [entry.id, entry.version]));
      for (const each of stack) {
        each.word = each.word.split(",").map((pair) => {
          const [id, version] = pair.split(":");
          return `${id}:${now[id] ?? version}`;
        }).join(",");
      }
    }
    write(sessionStorage, key, stack);
    const told = answer.ok ? "" : `?changed=${encodeURIComponent("undo")}`;
    location.assign(`${purport.ui}${base}/${last.number}${told}`);
  }
  undoForm?.addEventListener("submit", (event) => { event.preventDefault(); once(undo); });

  async function once(call) {
    if (busy) return;
    busy = true;
    try { await call(); } finally { busy = false; }
  }

  // --- Keys
  const wanted = () => read(localStorage, KEYS, true);
  const box = document.getElementById("use-keys");
  function show() {
    document.body.classList.toggle("with-keys", wanted());
    if (box) box.checked = wanted();
  }
  box?.addEventListener("change", () => { write(localStorage, KEYS, box.checked); show(); });
  for (const each of document.querySelectorAll(".keys-help")) each.hidden = false;
  show();

  document.addEventListener("keydown", (event) => {
    if (!wanted() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    const at = event.target;
    if (at.matches("input:not([type=radio]):not([type=checkbox]), select, textarea")) return;
    if (event.key === "u") { event.preventDefault(); once(undo); return; }
    if (!form) return;
    const number = "1234567890".indexOf(event.key);
    if (event.key === "Enter") {
      if (at.matches("a, button, summary")) return;
      event.preventDefault();
      once(() => decide("save"));
    } else if (event.key === "s") { event.preventDefault(); once(() => decide("skip")); }
    else if (event.key === "/") { event.preventDefault(); typed.focus(); }
    else if (number >= 0) { event.preventDefault(); choose(number === 9 ? none() : options()[number]); }
  });

  if (!form) return;

  // --- Labels
  const place = document.getElementById("options"), several = form.dataset.several === "1";
  const none = () => document.querySelector("#none input");
  const options = () => [...place.querySelectorAll("input")].filter((input) => input.value !== "");
  function choose(input) {
    if (!input) return;
    input.checked = several ? !input.checked : true;
    input.focus();
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }
  function exclude(input) {
    if (!several || !input.checked) return;
    if (input.value === "") options().forEach((each) => { each.checked = false; });
    else none().checked = false;
  }
  place.addEventListener("change", (event) => exclude(event.target));

  // What is saved if nothing is chosen; where file and model disagree, the person must choose.
  const accept = document.getElementById("accept");
  const chosen = () => place.querySelector("input:checked");
  form.addEventListener("change", () => { if (accept) accept.hidden = Boolean(chosen()); });

  function add(label) {
    let input = options().find((each) => each.value === label);
    if (!input) {
      const option = document.createElement("label"), name = document.createElement("span"), gap = document.createElement("kbd");
      option.className = "option"; name.className = "name"; gap.className = "keys";
      input = document.createElement("input");
      input.type = several ? "checkbox" : "radio"; input.name = "label"; input.value = label;
      name.textContent = label;
      gap.textContent = options().length < 9 ? options().length + 1 : "";
      option.append(input, gap, name);
      place.insertBefore(option, document.getElementById("none"));
    }
    input.checked = false;
    choose(input);
    write(localStorage, RECENT, [label, ...read(localStorage, RECENT, []).filter((each) => each !== label)].slice(0, 8));
  }

  // --- The search: an editable combobox with a list (ARIA Authoring Practices, combobox pattern).
  const typed = document.getElementById("typed"), found = document.getElementById("found"), told = document.getElementById("told");
  let known = [...document.querySelectorAll("#known option")].map((option) => option.value);
  purport.labels(typed, (labels) => { known = labels; });
  typed.removeAttribute("list");
  typed.removeAttribute("name"); // what is chosen becomes an option of its own
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": "found",
    "aria-autocomplete": "list" })) typed.setAttribute(name, value);
  let active = -1;
  function matches() {
    const asked = typed.value.trim().toLowerCase(), words = asked.split(/[\s_./-]+/).filter(Boolean);
    const recent = read(localStorage, RECENT, []).filter((label) => known.includes(label));
    const fit = [...new Set([...recent, ...known])].filter((label) => words.every((word) => label.toLowerCase().includes(word)));
    return fit.sort((one, other) => other.toLowerCase().startsWith(asked) - one.toLowerCase().startsWith(asked));
  }
  function open() {
    const labels = matches();
    found.replaceChildren(...labels.map((label, number) => {
      const item = document.createElement("li");
      item.id = `label-${number}`; item.role = "option"; item.textContent = label; item.setAttribute("aria-selected", "false");
      item.addEventListener("mousedown", (event) => event.preventDefault());
      item.addEventListener("click", () => { take(label); });
      return item;
    }));
    found.hidden = !labels.length;
    typed.setAttribute("aria-expanded", String(!found.hidden));
    told.textContent = labels.length === 1 ? "1 label" : `${labels.length} labels`;
    move(labels.length && typed.value.trim() ? 0 : -1);
  }
  function close() {
    found.hidden = true; active = -1;
    typed.setAttribute("aria-expanded", "false"); typed.removeAttribute("aria-activedescendant");
  }
  function move(to) {
    found.children[active]?.setAttribute("aria-selected", "false");
    active = to;
    const item = found.children[active];
    if (!item) return typed.removeAttribute("aria-activedescendant");
    item.setAttribute("aria-selected", "true");
    item.scrollIntoView({ block: "nearest" });
    typed.setAttribute("aria-activedescendant", item.id);
  }
  function take(label) { typed.value = ""; close(); add(label); }
  typed.addEventListener("input", open);
  typed.addEventListener("click", open);
  typed.addEventListener("blur", close);
  typed.addEventListener("keydown", (event) => {
    const last = found.children.length - 1;
    if (event.key === "ArrowDown") { event.preventDefault(); if (found.hidden) { open(); move(0); } else move(active >= last ? 0 : active + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); if (found.hidden) { open(); move(found.children.length - 1); } else move(active <= 0 ? last : active - 1); }
    else if (event.key === "Enter") { event.preventDefault(); if (!found.hidden && active >= 0) take(found.children[active].textContent); }
    else if (event.key === "Escape") { if (found.hidden) { typed.value = ""; typed.blur(); } else close(); }
  });

  // --- Saving
  async function decide(action) {
    const values = new FormData(form), number = form.dataset.number, versions = { [number]: Number(values.get("version")) };
    for (const pair of values.getAll("also")) { const [id, version] = pair.split(":"); versions[id] = Number(version); }
    const chosen = values.getAll("label"), labels = chosen.length ? chosen.filter((label) => label !== "") : null;
    if (action === "save" && labels === null && !accept) return purport.tell("Choose a label first, or “None of these”.", "warning");
    const answer = await purport.send("PUT", `/api${base}/${number}`, { action, versions, labels });
    if (answer.status === 409) {
      const said = action === "skip" ? "skip" : (labels ?? ["accept"]).join(", ") || "none of these";
      return location.assign(`${purport.ui}${base}/${number}?changed=${encodeURIComponent(said)}`);
    }
    if (!answer.ok) return purport.tell(answer.body.message ?? answer.body.title, "error");
    remember(answer.body.undo, number);
    location.assign(purport.ui + answer.body.next);
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); once(() => decide(event.submitter?.value ?? "save")); });
})();
