// Hides methods and tasks that the reader does not want to see; without it everything is shown.
(() => {
  const bar = document.querySelector(".filter");
  const owned = (number) => document.querySelectorAll(`[data-m="${number}"]`);
  bar.hidden = false;
  for (const button of bar.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      for (const element of owned(button.dataset.toggle)) element.classList.toggle("off", !shown);
    });
  }
  bar.querySelector("input").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const element of document.querySelectorAll("[data-task]")) {
      element.classList.toggle("away", !element.dataset.task.toLowerCase().includes(wanted));
    }
  });
})();
