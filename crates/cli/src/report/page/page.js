// The search, the only thing here that needs a script: rows that lack one of the words are hidden.
"use strict";
(() => {
  const form = document.getElementById("search");
  if (!form) return;
  const box = document.getElementById("words");
  const found = document.getElementById("found");
  const rows = Array.from(document.querySelectorAll(".records tbody"));
  let texts;

  const search = () => {
    texts ??= rows.map((row) => row.textContent.toLowerCase());
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    rows.forEach((row, index) => {
      const fits = words.every((word) => texts[index].includes(word));
      row.hidden = !fits;
      number += fits ? 1 : 0;
    });
    found.textContent = words.length === 0 ? "" : `${number} of the ${rows.length} shown`;
  };

  box.addEventListener("input", search);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const link of document.querySelectorAll("a.find")) {
    link.addEventListener("click", () => {
      box.value = link.dataset.words;
      search();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    }
  });
  form.hidden = false;
})();
