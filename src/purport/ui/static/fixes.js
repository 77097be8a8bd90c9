// Fix plan: each decision is saved at once, with the version that was seen. Without it, the forms do the same.
"use strict";

(() => {
  const WORDS = { open: "", accepted: "Accepted", rejected: "Rejected" };

  function show(form, entry) {
    form.elements.version.value = entry.version;
    form.closest("tr").dataset.status = entry.status;
    form.querySelector(".status").textContent = WORDS[entry.status];
    form.querySelector(".undo-fix").hidden = entry.status === "open";
  }

  async function decide(form, action) {
    const values = { action, version: Number(form.elements.version.value) };
    if (form.elements.new_labels) values.new_labels = form.elements.new_labels.value.split("\n");
    if (form.elements.new_text) values.new_text = form.elements.new_text.value;
    const answer = await purport.send("PUT", form.dataset.path, values);
    if (answer.status === 409) {
      const now = answer.body.entries[0];
      show(form, now);
      const said = WORDS[now.status].toLowerCase() || "open again";
      return purport.tell(`Somebody else (${now.who}) decided on this fix in the meantime: it is ${said}. Your choice was not saved; choose again if it is wrong.`, "error");
    }
    if (!answer.ok) return purport.tell(answer.body.message ?? answer.body.title, "error");
    purport.tell("");
    show(form, answer.body.entry);
    for (const place of document.querySelectorAll("[data-count]")) place.textContent = answer.body.progress[place.dataset.count];
    document.getElementById("bar").value = answer.body.progress.seen;
  }

  for (const form of document.querySelectorAll("form.fix")) {
    let busy = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (busy) return;
      busy = true;
      try { await decide(form, event.submitter?.value ?? "accept"); } finally { busy = false; }
    });
  }
})();
