// The launch form: updates the total of the plan's lines while the user types, and ignores a second click.
(() => {
  "use strict";
  const number = (text) => {
    const plain = (text || "").trim().replace(/^(\d{1,3}(,\d{3})+)(\.\d+)?$/, (all) => all.replaceAll(",", ""));
    return /^\d+(\.\d+)?$/.test(plain) ? Number(plain) : 0;
  };
  function reckon() {
    const form = document.getElementById("launch-form");
    const out = document.getElementById("plan-sum");
    if (!form || !out) return;
    const value = (name) => form.elements.namedItem(name)?.value;
    const lines = [...form.querySelectorAll('input[name^="media_plan."][name$=".budget"]')];
    const cents = lines.reduce((sum, line) => sum + Math.round(number(line.value) * 100), 0);
    const budget = Math.round(number(value("budget")) * 100);
    const show = (amount) => `${(value("currency") || "").toUpperCase()} ${(amount / 100).toLocaleString("en")}`;
    const apart = budget - cents;
    const rest = apart === 0 ? "all of the budget" : `${show(Math.abs(apart))} ${apart > 0 ? "left" : "too much"}`;
    out.textContent = `Lines: ${show(cents)} of ${show(budget)}, ${rest}`;
    out.dataset.fits = apart === 0 ? "yes" : "no";
  }
  document.addEventListener("input", reckon);
  document.addEventListener("htmx:after:swap", reckon);
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "launch-form") return;
    const button = event.submitter;
    if (event.target.dataset.sent === "yes") { event.preventDefault(); return; }
    event.target.dataset.sent = "yes";
    const word = button?.textContent;
    if (button?.dataset.busy) button.textContent = button.dataset.busy;
    // the form's token already prevents a second job; this only prevents the second request
    setTimeout(() => { delete event.target.dataset.sent; if (button) button.textContent = word; }, 8000);
  });
  // the browser may restore the page from its cache; then it may be submitted again
  window.addEventListener("pageshow", () => {
    const form = document.getElementById("launch-form");
    if (form) delete form.dataset.sent;
    reckon();
  });
})();
