// A search over labels: an editable combobox with a list (ARIA Authoring Practices, combobox pattern). Without scripts
// the same input has its <datalist>. purport.picker(input, list, told, taken) calls taken(label) when one is chosen.
// With more.recent(), the labels that it gives come first; with more.fresh(label), a label that is not known can be made.
"use strict";

purport.picker = (typed, found, told, taken, more = {}) => {
  let known = [...document.getElementById(typed.getAttribute("list")).options].map((option) => option.value);
  purport.labels(typed, (labels) => { known = labels; });
  typed.removeAttribute("list");
  typed.removeAttribute("name"); // what is chosen becomes an option of its own
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": found.id,
    "aria-autocomplete": "list" })) typed.setAttribute(name, value);
  let active = -1, actions = [];

  function matches() {
    const asked = typed.value.trim().toLowerCase(), words = asked.split(/[\s_./-]+/).filter(Boolean);
    const recent = (more.recent?.() ?? []).filter((label) => known.includes(label));
    const fit = [...new Set([...recent, ...known])].filter((label) => words.every((word) => label.toLowerCase().includes(word)));
    return fit.sort((one, other) => other.toLowerCase().startsWith(asked) - one.toLowerCase().startsWith(asked));
  }
  function open() {
    const labels = matches(), wish = typed.value.trim(), items = labels.map((label) => [label, () => taken(label)]);
    if (more.fresh && wish && !known.includes(wish)) items.push([`New label: ${wish}`, () => { if (more.fresh(wish)) taken(wish); }]);
    actions = items.map(([, action]) => action);
    found.replaceChildren(...items.map(([said], number) => {
      const item = document.createElement("li");
      item.id = `${found.id}-${number}`; item.role = "option"; item.textContent = said; item.setAttribute("aria-selected", "false");
      item.addEventListener("mousedown", (event) => event.preventDefault());
      item.addEventListener("click", () => take(number));
      return item;
    }));
    found.hidden = !items.length;
    typed.setAttribute("aria-expanded", String(!found.hidden));
    told.textContent = labels.length === 1 ? "1 label" : `${labels.length} labels`;
    move(items.length && wish ? 0 : -1);
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
  function take(number) { const action = actions[number]; typed.value = ""; close(); action(); }
  typed.addEventListener("input", open);
  typed.addEventListener("click", open);
  typed.addEventListener("blur", close);
  typed.addEventListener("keydown", (event) => {
    const last = found.children.length - 1;
    if (event.key === "ArrowDown") { event.preventDefault(); if (found.hidden) { open(); move(0); } else move(active >= last ? 0 : active + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); if (found.hidden) { open(); move(found.children.length - 1); } else move(active <= 0 ? last : active - 1); }
    else if (event.key === "Enter") { event.preventDefault(); if (!found.hidden && active >= 0) take(active); }
    else if (event.key === "Escape") { if (found.hidden) { typed.value = ""; typed.blur(); } else close(); }
  });
};
