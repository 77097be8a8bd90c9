// A file may be dropped anywhere on the form; without scripts the field itself takes it.
"use strict";

(() => {
  const form = document.getElementById("begin");
  if (!form) return;
  const place = form.querySelector(".drop"), field = document.getElementById("file");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      place.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) field.files = event.dataTransfer.files;
    });
  }
  form.addEventListener("submit", (event) => {
    if (field.files.length || document.getElementById("texts").value.trim()) return;
    event.preventDefault();
    purport.tell("Paste some texts or choose a file first.", "warning");
  });
})();
