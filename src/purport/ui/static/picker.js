// A search over labels: an editable combobox with a list (ARIA Authoring Practices, combobox pattern). Without scripts
// the same input has its <datalist>. purport.picker(input, list, told, taken) calls taken(label) when one is chosen.
"use strict";

purport.picker = (typed, found, told, taken) => {
  let known = [...document.getElementById(typed.getAttribute("list")).options].map((option) => option.value);
  purport.labels(typed, (labels) => { known = labels; });
  typed.removeAttribute("list");
  typed.removeAttribute("name"); // what is chosen becomes an option of its own
  for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": found.id,
    "aria-autocomplete": "list" })) typed.setAttribute(name, value);
  let active = -1;

  function matches() {
    const asked = typed.value.trim().toLowerCase(), words = asked.split(/[\s_./-]+/).filter(Boolean);
    const fit = known.filter((label) => words.every((word) => label.toLowerCase().includes(word)));
    return fit.sort((one, other) => other.toLowerCase().startsWith(asked) - one.toLowerCase().startsWith(asked));
  }
  function open() {
    const labels = matches();
    found.replaceChildren(...labels.map((label, number) => {
      const item = document.createElement("li");
      item.id = `${found.id}-${number}`; item.role = "option"; item.textContent = label; item.setAttribute("aria-selected", "false");
      item.addEventListener("mousedown", (event) => event.preventDefault());
      item.addEventListener("click", () => take(label));
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
  function take(label) { typed.value = ""; close(); taken(label); }
  typed.addEventListener("input", open);
  typed.addEventListener("click", open);
  typed.addEventListener("blur", close);
  typed.addEventListener("keydown", (event) => {
    const last = found.children.length - 1;
    if (event.key === "ArrowDown") { event.preventDefault(); if (found.hidden) open(); else move(active >= last ? 0 : active + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); if (found.hidden) open(); else move(active <= 0 ? last : active - 1); }
    else if (event.key === "Enter") { event.preventDefault(); if (!found.hidden && active >= 0) take(found.children[active].textContent); }
    else if (event.key === "Escape") { if (found.hidden) typed.value = ""; else close(); }
  });
};
